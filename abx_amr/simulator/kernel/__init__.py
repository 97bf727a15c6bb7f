"""The laws of the clinic, compiled: each is written once, for components and for the fused step.

`layout` says where everything lies, `step` in which order it happens. Many episodes under a policy
that is compiled too are one compiled loop over `begin_episodes` and `take_step`:

    @compiled
    def play(rows, floats, whole, length, observation, actions, reward, returns):
        tables = tables_of(floats, whole)
        k = tables.drugs.shape[0]
        batch = new_batch(rows, *actions.shape, k, tables.windows)
        begin_episodes(None, batch, tables, observation)
        for time in range(1, length + 1):
            choose(observation, actions)
            take_step(None, batch, tables, actions, time, observation, reward)
            batch = Batch(batch.rows, batch.state, batch.treated, batch.waiting)
            returns += reward

with the two arrays of `Clinic.compiled_parts`. One stream (1, 4) for many environments lets all of
them meet the same patients. Such code is compiled anew when the kernel changes (`compiling`).
"""
