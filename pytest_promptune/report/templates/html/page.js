"use strict";
(() => {
  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined && text !== null) node.textContent = text;
    return node;
  };

  // Light and dark: the reader's choice wins over the system's.
  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // Tables: a click on a heading sorts, numbers by their value, in seconds where they are times, intervals by
  // where they begin.
  const UNITS = { ms: 0.001, min: 60, h: 3600, k: 1e3, M: 1e6, B: 1e9, s: 1 };
  const valueOf = (cell) => {
    const text = cell.textContent.trim();
    if (text === "–" || text === "") return null;
    const number = /^[<[]?\+?\s*([−-]?)\s*\$?([\d.,]+(?:e[+−-]?\d+)?)\s*([a-z%]*)(?:\s+([\d.]+)\s*(s|min)\b)?/i.exec(text);
    if (!number || /^\d{4}-\d\d/.test(text)) return text.toLowerCase();
    const amount = Number(number[2].replaceAll(",", "").replace("−", "-")) * (UNITS[number[3]] ?? 1);
    return (amount + (number[4] ? Number(number[4]) * UNITS[number[5]] : 0)) * (number[1] ? -1 : 1);
  };
  const compare = (one, other) => {
    if (one === null || other === null) return one === other ? 0 : one === null ? 1 : -1;
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), undefined, { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = make("button", "", head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
        rows.sort((one, other) => {
          if (one[0] === null || other[0] === null) return compare(one[0], other[0]);
          return up ? compare(one[0], other[0]) : compare(other[0], one[0]);
        });
        body.append(...rows.map((row) => row[1]));
      });
    });
  }

  // Words of two texts that differ, by the longest common subsequence; long texts are compared by lines.
  const parts = (one, other) => {
    const cut = (text, lines) => (lines ? text.split(/(?<=\n)/) : text.split(/(\s+)/)).filter((part) => part !== "");
    let lines = false;
    let a = cut(one, lines);
    let b = cut(other, lines);
    if (a.length * b.length > 1500000) {
      lines = true;
      a = cut(one, lines);
      b = cut(other, lines);
      if (a.length * b.length > 1500000) return null;
    }
    const width = b.length + 1;
    const table = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1
          : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      }
    }
    const found = [];
    const add = (kind, text) => {
      if (found.length && found[found.length - 1][0] === kind) found[found.length - 1][1] += text;
      else found.push([kind, text]);
    };
    let i = 0;
    let j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { add("", a[i]); i++; j++; }
      else if (j >= b.length || (i < a.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) { add("del", a[i]); i++; }
      else { add("ins", b[j]); j++; }
    }
    return found;
  };

  const source = document.getElementById("data");
  const place = document.getElementById("book");
  if (!source || !place) return;
  const data = JSON.parse(source.textContent);
  const say = (key, values = {}) => (data.words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const several = (name) => new Set(data.cases.map((each) => each[name])).size > 1;
  const manyModules = several("module");
  const manyApps = several("app");
  const seconds = (value) => (value === null ? "" : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(2)} s`);
  const marksOf = (each) => each.marks;
  const categoryOf = (each) => each.tags.category ?? "";
  const rate = (each, variant) => {
    const mine = each.samples.filter((sample) => sample[0] === variant && sample[2] !== "missing");
    return mine.length ? `${mine.filter((sample) => sample[2] === "passed").length}/${mine.length}` : "–";
  };
  const searched = data.cases.map((each) => [each.id, ...Object.values(each.tags), data.texts[each.input],
    ...each.samples.map((sample) => (sample[9] === null ? sample[10] : data.texts[sample[9]]))].join("\n").toLowerCase());

  const block = (label, text, kind) => {
    const found = document.createDocumentFragment();
    found.append(make("div", "what", label), make("pre", kind || "text", text));
    return found;
  };

  const sampleView = (each, variant, run) => {
    const column = make("div");
    const sample = each.samples.find((one) => one[0] === variant && one[1] === run);
    column.append(make("h4", "", data.variants[variant]));
    if (!sample) {
      column.append(make("p", "count", say("not_measured")));
      return column;
    }
    const [, , outcome, verdicts, scores, labels, latency, tokens, cost, output, error] = sample;
    const box = make("div", `sample ${outcome}`);
    const about = [say(outcome), seconds(latency),
      tokens[0] === null ? "" : say("tokens", { input: tokens[0], output: tokens[1] }),
      cost === null ? "" : `$${cost.toPrecision(3)}`].filter(Boolean);
    box.append(make("div", "about", about.join(" · ")));
    const list = make("ul");
    for (const [metric, said, message] of verdicts) {
      const text = data.texts[message];
      list.append(make("li", "", `${data.texts[metric]}: ${say(said)}${text ? ` (${text})` : ""}`));
    }
    for (const [name, value] of Object.entries(scores)) list.append(make("li", "", `${name}: ${value === null ? "–" : value}`));
    for (const [predicted, expected] of labels) list.append(make("li", "", say("taken", { predicted, expected })));
    box.append(list);
    if (error) box.append(block(say("error"), error, "text error"));
    else if (output !== null) box.append(block(say("output"), data.texts[output]));
    column.append(box);
    return column;
  };

  const differences = (each, run) => {
    const outputs = data.variants.map((_, variant) => {
      const sample = each.samples.find((one) => one[0] === variant && one[1] === run);
      return sample && sample[9] !== null ? data.texts[sample[9]] : null;
    });
    const found = document.createDocumentFragment();
    if (outputs[0] === null) return found;
    outputs.slice(1).forEach((output, index) => {
      if (output === null) return;
      const pair = `${data.variants[0]} → ${data.variants[index + 1]}`;
      if (output === outputs[0]) {
        found.append(make("div", "what", say("same", { pair })));
        return;
      }
      const changed = parts(outputs[0], output);
      const shown = make("pre", "text diff");
      if (changed === null) shown.textContent = say("too_long");
      else for (const [kind, text] of changed) shown.append(kind ? make(kind, "", text) : document.createTextNode(text));
      found.append(make("div", "what", say("differs", { pair })), shown);
    });
    return found;
  };

  const inside = (each) => {
    const box = make("div", "inside");
    const given = make("div", "pair");
    for (const [label, number] of [[say("input"), each.input], [say("expected"), each.expected]]) {
      if (!data.texts[number]) continue;
      const column = make("div");
      column.append(block(label, data.texts[number]));
      given.append(column);
    }
    box.append(given);
    const tags = Object.entries(each.tags).map(([name, value]) => `${name}: ${value}`);
    if (tags.length) box.append(make("p", "count", tags.join(" · ")));
    const runs = [...new Set(each.samples.map((sample) => sample[1]))].sort((one, other) => one - other);
    const chooser = make("div", "runs");
    const shown = make("div");
    const show = (run) => {
      for (const button of chooser.children) button.setAttribute("aria-pressed", String(button.dataset.run === String(run)));
      const columns = make("div", "pair");
      data.variants.forEach((_, variant) => columns.append(sampleView(each, variant, run)));
      shown.replaceChildren(columns, differences(each, run));
    };
    for (const run of runs) {
      const button = make("button", "", say("run", { run }));
      button.type = "button";
      button.dataset.run = run;
      button.addEventListener("click", () => show(run));
      chooser.append(button);
    }
    if (runs.length > 1) box.append(chooser);
    box.append(shown);
    const missed = each.samples.find((sample) => sample[2] !== "passed");
    show(missed ? missed[1] : runs[0]);
    return box;
  };

  const row = (each) => {
    const card = make("div", "case");
    const head = make("button");
    head.type = "button";
    head.setAttribute("aria-expanded", "false");
    head.append(make("span", "id", each.id));
    const where = [manyModules ? each.module : "", manyApps ? each.app : "", categoryOf(each)].filter(Boolean);
    if (where.length) head.append(make("span", "tag", where.join(" · ")));
    for (const mark of marksOf(each)) head.append(make("span", `badge ${mark}`, say(mark)));
    const means = make("span", "means");
    means.append(...data.variants.map((name, variant) => make("span", "", `${name} ${rate(each, variant)}`)));
    head.append(means);
    head.addEventListener("click", () => {
      const open = head.getAttribute("aria-expanded") === "true";
      head.setAttribute("aria-expanded", String(!open));
      if (open) card.lastChild.remove();
      else card.append(inside(each));
    });
    card.append(head);
    return card;
  };

  const filters = make("div", "filters");
  const choice = (label, names) => {
    const outer = make("label", "", label);
    const select = make("select");
    for (const [value, text] of names) {
      const option = make("option", "", text);
      option.value = value;
      select.append(option);
    }
    outer.append(select);
    filters.append(outer);
    select.addEventListener("change", () => update());
    return select;
  };
  const counted = (values) => {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return counts;
  };
  const marks = counted(data.cases.flatMap(marksOf));
  const kinds = data.marks.filter((mark) => marks.has(mark));
  const numbered = (text, number) => say("numbered", { text, number });
  const change = choice(say("change"), [["", numbered(say("all"), data.cases.length)],
    ...kinds.map((mark) => [mark, numbered(say(mark), marks.get(mark))])]);
  change.id = "change";
  const categories = counted(data.cases.map(categoryOf).filter(Boolean));
  const category = categories.size
    ? choice(say("category"), [["", say("all")], ...[...categories].sort().map(([name, number]) => [name, numbered(name, number)])])
    : null;
  if (category) category.id = "category";
  const outer = make("label", "", say("text"));
  const search = make("input");
  search.type = "search";
  search.id = "search";
  search.placeholder = say("where");
  outer.append(search);
  filters.append(outer);

  const count = make("p", "count");
  count.setAttribute("role", "status");
  const list = make("div", "list");
  const more = make("button", "more", say("more"));
  more.type = "button";
  const PAGE = 200;
  let chosen = [];
  let shownCount = 0;
  const page = () => {
    const next = chosen.slice(shownCount, shownCount + PAGE);
    list.append(...next.map(row));
    shownCount += next.length;
    more.hidden = shownCount >= chosen.length;
    count.textContent = say(more.hidden ? "count" : "count_first",
      { number: chosen.length, of: data.cases.length, shown: shownCount });
  };
  const update = () => {
    const words = search.value.toLowerCase();
    chosen = data.cases.filter((each, index) => (!change.value || marksOf(each).includes(change.value))
      && (!category?.value || categoryOf(each) === category.value) && (!words || searched[index].includes(words)));
    shownCount = 0;
    list.replaceChildren();
    page();
  };
  let timer = 0;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(update, 120); });
  more.addEventListener("click", page);
  place.append(filters);
  if (data.lacking) place.append(make("p", "count", data.lacking));
  place.append(count, list, more);
  update();
})();
