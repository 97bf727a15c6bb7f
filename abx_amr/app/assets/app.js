"use strict";
(() => {
  const base = document.body.dataset.base;
  const tab = Array.from(crypto.getRandomValues(new Uint32Array(2)), (n) => n.toString(36)).join("");
  for (const input of document.querySelectorAll("input[name=tab]")) input.value = tab;

  // Copying; without a clipboard the text is selected.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });

  // A form that was sent waits; so nothing is started twice.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "1";
    if (event.submitter) event.submitter.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
    for (const busy of document.querySelectorAll("[aria-busy]")) busy.removeAttribute("aria-busy");
  });

  const fieldsOf = (form) => new URLSearchParams(new FormData(form));
  const post = (path, form, signal) => fetch(base + path, {
    method: "POST", body: fieldsOf(form), signal,
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  // Each mistake stands beside its field; what belongs to none, at the top.
  const complain = (form, error, mistakes = {}) => {
    for (const each of form.querySelectorAll(".wrong")) each.classList.remove("wrong");
    for (const each of form.querySelectorAll("[data-error]")) each.hidden = true;
    let isPlaced = false;
    for (const [key, line] of Object.entries(mistakes)) {
      const place = form.querySelector(`[data-error="${CSS.escape(key)}"]`);
      form.elements.namedItem(key)?.closest?.(".field, .slider, td")?.classList.add("wrong");
      if (!place) continue;
      isPlaced = true;
      place.textContent = line;
      place.hidden = false;
      place.closest("details")?.setAttribute("open", "");
    }
    const top = document.getElementById("error");
    top.hidden = !error || isPlaced;
    top.textContent = error ?? "";
  };
  // A page that was refused begins at its first mistake.
  const first = document.querySelector(".wrong input:not([type=range]), .wrong select, .wrong textarea");
  if (first) {
    for (let e = first.closest("details"); e; e = e.parentElement.closest("details")) e.open = true;
    first.scrollIntoView({ block: "center" });
    first.focus({ preventScroll: true });
  }

  // Sliders: a range beside each number.
  for (const range of document.querySelectorAll("input[data-for]")) {
    const number = document.getElementById(range.dataset.for);
    range.addEventListener("input", () => {
      number.value = range.value;
      number.dispatchEvent(new Event("input", { bubbles: true }));
    });
    number.addEventListener("input", () => { range.value = number.value; });
    number.addEventListener("keydown", (event) => { // a slider's steps: those of a share are small
      if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
      event.preventDefault();
      range.value = number.value;
      if (event.key === "ArrowUp") range.stepUp(); else range.stepDown();
      number.value = range.value;
      number.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }

  const clinic = document.querySelector("[data-clinic]");
  if (clinic) {
    const brief = document.getElementById("brief"), told = {};
    const own = clinic.querySelector("[data-only]"), population = clinic.elements.population;
    const showOwn = () => { own.hidden = population.value !== own.dataset.only; };
    population.addEventListener("change", showOwn);
    showOwn();
    for (const name of clinic.querySelectorAll("[data-names]")) {
      name.addEventListener("input", () => {
        for (const shown of clinic.querySelectorAll(`[data-drug="${name.name.split(".")[1]}"]`)) {
          shown.textContent = name.value || "–";
        }
      });
    }
    let waiting = 0, asking = null;
    const parts = [["fixed", "rules"], ["rules", "rules"], ["search", "search"]];
    const compute = async () => {
      asking?.abort();
      const mine = asking = new AbortController();
      for (const [, id] of parts) document.getElementById(id).classList.add("busy");
      for (const [part, id] of parts) {
        const place = document.getElementById(id);
        if (!place.textContent.trim() || part === "fixed" && !place.querySelector("table")) {
          place.innerHTML = '<p class="soft">computing …</p>';
        }
        let found;
        try {
          const answer = await post(`/clinic/try/${part}`, clinic, mine.signal);
          found = await answer.json();
        } catch (error) {
          if (error.name !== "AbortError") complain(clinic, "the application does not answer: is abx-app still running?");
          return;
        }
        if (mine.signal.aborted || found.superseded) return;
        complain(clinic, found.error, found.mistakes);
        if (found.error) {
          for (const [, each] of parts) document.getElementById(each).innerHTML = '<p class="soft">–</p>';
          return;
        }
        place.innerHTML = found.html;
        if (part !== "fixed") place.classList.remove("busy");
        if (part !== "fixed") Object.assign(told, found.brief);
        brief.textContent = [told.rule && `best rule ${told.rule}`, told.agent].filter(Boolean).join(" · ");
      }
    };
    clinic.addEventListener("input", (event) => {
      if (event.target.name === "name") return;
      clearTimeout(waiting);
      waiting = setTimeout(compute, 250);
    });
    // Enter in a field computes; it does not press the first button.
    clinic.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.matches("input:not([name=name])")) {
        event.preventDefault();
        compute();
      }
      if (event.key === "Enter" && event.target.name === "name") {
        event.preventDefault();
        clinic.querySelector(".keep button").click();
      }
    });
    compute();
  }

  const start = document.querySelector("[data-start]");
  if (start) {
    let waiting = 0, asking = null;
    const check = async () => {
      asking?.abort();
      asking = new AbortController();
      try {
        const answer = await post(`/start/${start.dataset.start}/check`, start, asking.signal);
        const found = await answer.json();
        if (found.superseded) return;
        if (found.command) document.getElementById("command").textContent = found.command;
        complain(start, found.error, found.mistakes);
        if (found.budget) document.getElementById("budget").textContent = found.budget;
      } catch (error) {
        if (error.name !== "AbortError") complain(start, "the application does not answer: is abx-app still running?");
      }
    };
    start.addEventListener("input", (event) => {
      if (event.target.matches("[data-reload]")) return;
      clearTimeout(waiting);
      waiting = setTimeout(check, 300);
    });
    start.addEventListener("change", (event) => {
      if (!event.target.matches("[data-reload], [name=run]")) return;
      const kept = [...fieldsOf(start)].filter(([key, value]) => key !== "tab" && (value || key === "experiment"));
      location.assign(`${location.pathname}?${new URLSearchParams(kept)}`);
    });
  }

  // What runs: parts of the page come as events; the log stays at its end when it is there.
  const live = document.querySelector("[data-live='1']");
  if (live) {
    const source = new EventSource(live.dataset.events);
    source.addEventListener("part", (event) => {
      const { id, html } = JSON.parse(event.data);
      const place = document.getElementById(id), log = place.querySelector(".log");
      const follows = log && log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      const top = log ? log.scrollTop : 0;
      const made = document.createElement("div");
      made.innerHTML = html;
      if (made.innerHTML === place.innerHTML) return;  // what is shown stays, with its focus
      place.replaceChildren(...made.childNodes);
      const now = place.querySelector(".log");
      if (now) now.scrollTop = follows ? now.scrollHeight : top;
    });
    source.addEventListener("end", () => source.close());
    const log = document.querySelector(".log");
    if (log) log.scrollTop = log.scrollHeight;
  }
  for (const frame of document.querySelectorAll("iframe.report")) {
    frame.addEventListener("load", () => {
      for (const line of document.querySelectorAll(".waiting")) line.hidden = true;
    });
  }
})();
