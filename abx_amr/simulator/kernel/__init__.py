"""The laws of the clinic, compiled: each is written once, for components and for the fused step.

`layout` says where everything lies, `step` in which order it happens. Many episodes under a policy
that is compiled too are one compiled loop over `begin_episodes` and `take_step`:

    @compiled
    def play(rows, state, waiting, treated, floats, whole, length, returns):
        tables = tables_of(floats, whole)
        batch = Batch(rows, state, waiting, treated)
        begin_episodes(None, batch, tables, observation)
        for time in range(1, length + 1):
            choose(observation, actions)
            take_step(None, batch, tables, actions, time, observation, reward)
            batch = Batch(rows, state, batch.treated, batch.waiting)
            returns += reward

with a batch of `new_batch` and the tables of `Clinic.packed_tables`. A file of such code beside the
kernel is compiled anew when the kernel changes (`compiling`).
"""
