// Search, copying, downloading, folding. The page can be read without all of this.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const input = $("search");
  const found = $("found");
  const unfold = $("unfold");
  const main = $("content");
  const MARKED = 2000;
  document.documentElement.classList.add("live");

  // ------------------------------------------------------------ search

  let threads = null;
  let before = null;

  function index() {
    return all(".thread").map((element) => ({
      element,
      title: text(element.querySelector("summary")),
      report: element.closest(".report"),
      frames: all(".frame", element).map((frame) => ({ element: frame, text: text(frame) })),
      rest: all(".mark, .members, .more", element),
      folds: all("details", element),
    }));
  }

  function text(element) {
    return element.textContent.toLowerCase();
  }

  function search() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) {
      restore();
      return;
    }
    threads ??= index();
    if (before === null) {
      before = { open: all("details[open]"), top: window.scrollY };
      window.scrollTo(0, 0);
    }
    const has = (part) => words.every((word) => part.includes(word));
    const shown = new Set();
    const hits = [];
    let count = 0;
    for (const thread of threads) {
      const whole = has(thread.title);
      const own = thread.frames.filter((frame) => whole || has(frame.text));
      const kept = new Set(own);
      for (const frame of thread.frames) frame.element.hidden = !kept.has(frame);
      for (const each of thread.rest) each.hidden = !whole;
      const matches = whole || own.length > 0;
      thread.element.hidden = !matches;
      thread.element.open = matches;
      for (const fold of thread.folds) fold.open = matches && opens(fold, has);
      if (matches) {
        shown.add(thread.report);
        count += 1;
        hits.push(...own.map((frame) => frame.element));
      }
    }
    for (const report of all(".report")) report.hidden = !shown.has(report);
    main.classList.add("searching");
    found.textContent = count ? `${plural(hits.length, "frame")} in ${plural(count, "stack")}` : "Nothing found";
    mark(hits, words);
  }

  // What is hidden in a fold is shown if it is why the frame was found.
  function opens(fold, has) {
    return has(text(fold)) && !has(text(fold.querySelector("summary")));
  }

  function plural(number, noun) {
    return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  }

  function restore() {
    if (before === null) return;
    for (const { element, frames, rest } of threads) {
      element.hidden = false;
      for (const frame of frames) frame.element.hidden = false;
      for (const each of rest) each.hidden = false;
    }
    for (const report of all(".report")) report.hidden = false;
    const open = new Set(before.open);
    for (const fold of all("details")) fold.open = open.has(fold);
    main.classList.remove("searching");
    found.textContent = "";
    mark([], []);
    window.scrollTo(0, before.top);
    before = null;
  }

  function mark(elements, words) {
    if (!("highlights" in CSS)) return;
    const ranges = [];
    for (const element of elements) {
      if (ranges.length > MARKED) break;
      const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
        const lower = node.data.toLowerCase();
        if (lower.length !== node.data.length) continue;
        for (const word of words) {
          for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, at + word.length)) {
            const range = new Range();
            range.setStart(node, at);
            range.setEnd(node, at + word.length);
            ranges.push(range);
          }
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }

  function clear() {
    input.value = "";
    search();
  }

  if (document.querySelector(".thread")) {
    input.parentElement.hidden = false;
    input.addEventListener("input", search);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      if (input.value) clear();
      else input.blur();
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, textarea, select");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.focus();
      input.select();
    });
  }

  // ------------------------------------------------------------ folding

  if (document.querySelector("details")) {
    unfold.hidden = false;
    unfold.addEventListener("click", () => {
      const open = unfold.getAttribute("aria-pressed") !== "true";
      for (const fold of all("details")) fold.open = open;
      unfold.setAttribute("aria-pressed", String(open));
    });
  }

  // A link to something that is folded away opens it.
  function reveal() {
    let target = null;
    try {
      target = $(decodeURIComponent(location.hash.slice(1)));
    } catch {
      return; // no anchor of ours
    }
    if (!target) return;
    if (before !== null) clear();
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      fold.open = true;
    }
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", reveal);
  reveal();

  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    for (const fold of closed) fold.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const fold of closed) fold.open = false;
  });

  // ------------------------------------------------------------ copying and downloading

  // The page holds JSON with every `<` escaped; a file gets it as it was.
  function json(id) {
    return $(id).textContent.replace(/\\(?:u003c|[^])/g, (pair) => (pair === "\\u003c" ? "<" : pair));
  }

  function download(button) {
    const link = document.createElement("a");
    const file = new Blob([json(button.dataset.download)], { type: "application/json" });
    link.href = URL.createObjectURL(file);
    link.download = button.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  async function copy(button) {
    const source = $(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 1500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.download) download(button);
    if (button?.dataset.copy) copy(button);
  });
})();
