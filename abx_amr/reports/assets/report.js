"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const make = (tag, properties, parent) => {
    const element = Object.assign(document.createElement(tag), properties);
    if (parent) parent.append(element);
    return element;
  };

  // Sorting: a button in each heading; by the key of a cell, else by its text.
  const keyOf = (row, index) => {
    const cell = row.cells[index];
    const key = cell.dataset.key;
    if (key !== undefined) return isNaN(key) || key === "" ? key : Number(key);
    return cell.classList.contains("number") ? null : cell.textContent;
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return typeof a === "number" && typeof b === "number"
      ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  const sortable = (table) => {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, index) => {
      const button = make("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending"
          || (head.getAttribute("aria-sort") === null && head.classList.contains("number"));
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [keyOf(row, index), row]);
        rows.sort(([a], [b]) => (a === null || b === null || !down ? compare(a, b) : compare(b, a)));
        body.append(...rows.map(([, row]) => row));
      });
    });
  };
  const filterable = (table, tools) => {
    const name = table.caption ? table.caption.textContent : "table";
    const input = make("input", { type: "search", placeholder: "filter rows" }, tools);
    input.setAttribute("aria-label", `filter rows: ${name}`);
    const count = make("span", { className: "soft" }, tools);
    count.setAttribute("role", "status");
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase();
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        shown += !row.hidden;
      }
      count.textContent = wanted ? `${shown} of ${table.tBodies[0].rows.length} rows` : "";
    });
  };

  // The data of a table as a CSV file; a text that a spreadsheet would compute is quoted by '.
  const cell = (value) => {
    if (value === null) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const download = (name) => {
    const table = data[name];
    const lines = [table.columns, ...table.rows].map((row) => row.map(cell).join(","));
    const url = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    make("a", { href: url, download: `${name}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };
  for (const box of document.querySelectorAll(".table")) {
    const table = box.querySelector("table");
    const tools = make("div", { className: "tools" });
    sortable(table);
    if (table.tBodies[0].rows.length > 8) filterable(table, tools);
    if (data[box.dataset.csv]) {
      const button = make("button", { type: "button", textContent: "CSV" }, tools);
      button.setAttribute("aria-label", `${box.dataset.csv} as a CSV file`);
      button.addEventListener("click", () => download(box.dataset.csv));
    }
    if (tools.children.length) box.prepend(tools);
  }

  // One trial, marked wherever it stands: in tables and in figures. A click keeps it.
  let kept = null;
  const light = (trial) => {
    for (const element of document.querySelectorAll(".hot")) element.classList.remove("hot");
    if (trial === null || trial === undefined) return;
    for (const element of document.querySelectorAll(`[data-trial="${CSS.escape(trial)}"]`))
      element.classList.add("hot");
  };
  for (const row of document.querySelectorAll("tr[data-trial]")) {
    const button = make("button", { type: "button", title: "show this trial in the figures" });
    button.append(...row.cells[0].childNodes);
    row.cells[0].append(button);
  }
  const trialOf = (event) => {
    const element = event.target.closest && event.target.closest("[data-trial]");
    return element ? element.dataset.trial : null;
  };
  const tip = make("div", { id: "tip", hidden: true }, document.body);
  document.addEventListener("pointerover", (event) => {
    light(trialOf(event) ?? kept);
    const mark = event.target.closest && event.target.closest(".mark");
    const title = mark && mark.querySelector("title");
    if (title) mark.dataset.tip = title.textContent, title.remove();
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const place = mark.getBoundingClientRect();
    const left = Math.min(place.right + 8, innerWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, place.top - tip.offsetHeight - 4)}px`;
  });
  document.addEventListener("click", (event) => {
    const trial = trialOf(event);
    if (trial === null) return;
    kept = kept === trial ? null : trial;
    light(kept);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") light(kept = null), tip.hidden = true;
  });

  // What is wider than the window scrolls inside itself, and says so.
  const hints = [...document.querySelectorAll(".scroll")].map((box) => {
    const hint = make("p", { className: "sideways", textContent: "scrolls sideways \u2192" });
    box.before(hint);
    return [box, hint];
  });
  const measure = () => {
    for (const [box, hint] of hints) {
      hint.hidden = box.scrollWidth <= box.clientWidth + 1;
      box.classList.toggle("fits", hint.hidden);
    }
  };
  measure();
  addEventListener("resize", measure);

  if (navigator.clipboard)
    for (const command of document.querySelectorAll(".command")) {
      const button = make("button", { type: "button", className: "copy", textContent: "copy" });
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(command.querySelector("code").textContent);
        button.textContent = "copied";
      });
      command.append(button);
    }
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
