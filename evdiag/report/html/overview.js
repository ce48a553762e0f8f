// The overview of many crashes: sorting and filtering its table, and its JSON in one piece.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const rows = $("group-rows");

  // ------------------------------------------------------------ sorting

  function value(row, column) {
    const cell = row.cells[column];
    return cell.dataset.value ?? cell.textContent.trim();
  }

  function compare(a, b, kind) {
    return kind === "number" ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
  }

  function sort(head) {
    const column = head.cellIndex;
    const kind = head.dataset.sort;
    const before = head.getAttribute("aria-sort");
    // Numbers and times are mostly looked for from their end.
    const first = kind === "number" && column > 0 ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = before === first ? other : first;
    for (const each of head.parentElement.cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const way = order === "ascending" ? 1 : -1;
    const sorted = [...rows.rows].sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      if (!x !== !y) return x ? -1 : 1; // what is not known is last
      return way * compare(x, y, kind);
    });
    rows.append(...sorted);
  }

  for (const head of document.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head));
  }

  // ------------------------------------------------------------ filtering

  function filter() {
    const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const onlyNew = $("only-new")?.checked ?? false;
    let shown = 0;
    for (const row of rows.rows) {
      const text = row.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits || (onlyNew && !row.classList.contains("new"));
      if (!row.hidden) shown += 1;
    }
    const all = rows.rows.length;
    $("filtered").textContent = shown === all ? "" : `${shown} of ${all} groups`;
  }

  if (rows) {
    $("filter").addEventListener("input", filter);
    $("only-new")?.addEventListener("change", filter);
    filter(); // a page that is gone back to has its words still
  }

  // ------------------------------------------------------------ downloading

  // The reports on the page are in elements of their own, and nowhere twice.
  function whole(id) {
    const triage = JSON.parse($(id).textContent);
    triage.groups.forEach((group, i) => {
      const report = $(`g${i + 1}-json`);
      if (report) group.report = JSON.parse(report.textContent);
    });
    return `${JSON.stringify(triage, null, 2)}\n`;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-whole]");
    if (!button) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([whole(button.dataset.whole)], { type: "application/json" }));
    link.download = button.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
})();
