// The wall in the browser: clock, ages and countdowns, keys and clicks, sound, and noticing that the server is gone.
// Here: what needs no message from the server. Not here: what is shown (Python renders it). Python writes attributes (data-since,
// data-until, and those of .pulse); what is pressed goes back as the event `vigie`.
"use strict";
(() => {
  const CUT_AFTER_MS = 8000; // the pulse comes every 2 s: four missed
  const RELOAD_AFTER_MS = 15000; // the page's own way back has had its chance
  const MUTE_MS = 10 * 60 * 1000; // silence ends by itself: nobody forgets it
  const REPEAT_MS = 8000; // a critical alarm that nobody acknowledged
  const MUTED = "vigie-muet-jusque";

  const picks = new Set();
  let cursor = null, cursorAt = 0, opened = 0;
  let offset = 0; // the server's clock minus this machine's, ms
  let lastPulse = performance.now(), lastNow = null, reloading = false;
  let lastRing = null, lastCritical = 0, lastTone = 0, cleared = null, openTimer = 0, searchTimer = 0;
  let audio = null;

  const all = (selector) => document.querySelectorAll(selector);
  const one = (selector) => document.querySelector(selector);
  const now = () => Date.now() + offset;
  const emit = (said) => window.emitEvent && window.emitEvent("vigie", said);
  const dialogIsOpen = () => one('.q-dialog__inner:not([class*="leave"])') !== null;

  // --- time

  function duration(s) {
    s = Math.max(0, Math.floor(s));
    const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
    if (d) return h ? `${d} j ${h} h` : `${d} j`;
    if (s >= 3600) return m ? `${h} h ${String(m).padStart(2, "0")}` : `${h} h`;
    return m ? `${m} min` : `${s} s`;
  }
  function countdown(s) {
    const a = Math.floor(Math.abs(s));
    const text = `${Math.floor(a / 3600)}:${String(Math.floor(a / 60) % 60).padStart(2, "0")}:${String(a % 60).padStart(2, "0")}`;
    return s < 0 ? `−${text}` : text;
  }
  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }
  function tickOne(t) {
    if (t.dataset.since) {
      const age = now() / 1000 - Number(t.dataset.since);
      say(t, (t.dataset.before || "") + duration(age));
    } else if (t.dataset.until) {
      const left = Number(t.dataset.until) - now() / 1000;
      say(t, countdown(left));
      t.classList.toggle("passed", left < 0);
      t.classList.toggle("soon", left >= 0 && left < 1800);
    }
  }
  let zone = null, clock = null;
  const clockOf = (timeZone) => new Intl.DateTimeFormat("fr-FR", { timeZone, weekday: "short", day: "numeric", month: "short",
    hour: "2-digit", minute: "2-digit", second: "2-digit" });
  function tick() {
    const face = one("#clock");
    const its = one(".wall")?.dataset.zone;
    if (its && its !== zone) {
      zone = its;
      clock = clockOf(its);
    }
    if (face && clock) {
      const p = Object.fromEntries(clock.formatToParts(new Date(now())).map((x) => [x.type, x.value]));
      const html = `<small>${p.weekday} ${p.day} ${p.month}</small> ${p.hour}:${p.minute}:<span>${p.second}</span>`;
      if (face.innerHTML !== html) face.innerHTML = html;
    }
    all("time[data-since],time[data-until]").forEach(tickOne);
    watchServer();
    sound();
  }

  // --- is the server there?

  function readPulse() {
    const pulse = one(".pulse");
    if (!pulse) return;
    const said = pulse.dataset;
    if (said.now && said.now !== lastNow) {
      lastNow = said.now;
      lastPulse = performance.now();
      offset = Number(said.now) * 1000 - Date.now();
    }
    lastCritical = Number(said.critical || 0);
    if (said.ring && said.ring !== lastRing) {
      lastRing = said.ring;
      tone(Number(said.ring.split(":")[1]));
    }
    const open = Number(said.open || 0);
    if (open !== opened) {
      opened = open;
      if (open) cursor = open;
      one(".detail")?.scrollTo(0, 0);
      paint();
    }
    if (said.cleared && said.cleared !== cleared) {
      cleared = said.cleared;
      if (one("#search")) one("#search").value = "";
    }
  }
  function watchServer() {
    const silence = performance.now() - lastPulse;
    const cut = one(".cut");
    if (!cut) return;
    const isCut = silence > CUT_AFTER_MS;
    if (cut.hidden === isCut) cut.hidden = !isCut;
    if (isCut) say(cut.querySelector("[data-cut]"), duration(silence / 1000));
    if (silence > RELOAD_AFTER_MS && !reloading && Math.floor(silence / 1000) % 3 === 0) {
      reloading = true;
      fetch("/health", { cache: "no-store" })
        .then((answer) => { if (answer.ok) window.location.reload(); })
        .catch(() => {})
        .finally(() => setTimeout(() => (reloading = false), 2000));
    }
  }

  // --- sound

  function muteLeft() {
    return Number(localStorage.getItem(MUTED) || 0) - Date.now();
  }
  function toggleMute() {
    if (audio && audio.state === "suspended") {
      audio.resume();
      return;
    }
    if (muteLeft() > 0) localStorage.removeItem(MUTED);
    else localStorage.setItem(MUTED, String(Date.now() + MUTE_MS));
    sound();
  }
  function start() {
    if (!audio) audio = new AudioContext();
    if (audio.state === "suspended") audio.resume();
  }
  function tone(priority) {
    window.vigieTones = (window.vigieTones || 0) + (muteLeft() > 0 ? 0 : 1); // what the browser test counts
    lastTone = performance.now();
    if (muteLeft() > 0 || !audio || audio.state !== "running") return;
    const [times, hertz] = priority === 1 ? [3, 880] : priority === 2 ? [2, 660] : [1, 523];
    for (let i = 0; i < times; i++) {
      const at = audio.currentTime + i * 0.22, swing = audio.createOscillator(), gain = audio.createGain();
      swing.type = "triangle";
      swing.frequency.value = hertz;
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(0.35, at + 0.02);
      gain.gain.exponentialRampToValueAtTime(0.001, at + 0.18);
      swing.connect(gain).connect(audio.destination);
      swing.start(at);
      swing.stop(at + 0.2);
    }
  }
  function sound() {
    if (lastCritical > 0 && muteLeft() <= 0 && performance.now() - lastTone > REPEAT_MS) tone(1);
    const button = one("#sound");
    if (!button) return;
    const left = muteLeft();
    const blocked = !audio || audio.state !== "running";
    const text = left > 0 ? `Son coupé · ${countdown(left / 1000).replace(/^0:/, "")}` : blocked ? "Son bloqué : cliquez" : "Son actif";
    say(button, text);
    button.classList.toggle("muted", left > 0);
    button.classList.toggle("blocked", left <= 0 && blocked);
    button.title = left > 0 ? "Remettre le son (M)" : blocked ? "Le navigateur attend un clic avant de laisser sonner" : "Couper le son 10 minutes (M)";
  }

  // --- the list: where we are, what is selected

  const rowsNow = () => Array.from(all("li[data-row]"));
  function paint() {
    const rows = rowsNow();
    const ids = new Set(rows.map((r) => Number(r.dataset.row)));
    for (const id of picks) if (!ids.has(id)) picks.delete(id);
    if (cursor !== null && !ids.has(cursor) && cursor !== opened) cursor = rows.length ? Number(rows[Math.min(cursorAt, rows.length - 1)].dataset.row) : null;
    rows.forEach((row, i) => {
      const id = Number(row.dataset.row), here = id === cursor;
      if (here) cursorAt = i;
      row.toggleAttribute("data-here", here);
      row.toggleAttribute("data-open", id === opened);
      row.toggleAttribute("data-picked", picks.has(id));
      const box = row.querySelector('input[data-do="pick"]');
      if (box && box.checked !== picks.has(id)) box.checked = picks.has(id);
    });
    const bar = one("#picked");
    if (bar) {
      bar.toggleAttribute("data-some", picks.size > 0);
      const count = one("#picked-count");
      if (count) say(count, `${picks.size} sélectionnée${picks.size > 1 ? "s" : ""}`);
    }
  }
  function pick(id) {
    if (picks.has(id)) picks.delete(id);
    else picks.add(id);
    paint();
  }
  function open(id) {
    cursor = id;
    paint();
    emit({ do: "open", id });
  }
  function move(step) {
    const rows = rowsNow();
    if (!rows.length) return;
    const at = rows.findIndex((r) => Number(r.dataset.row) === cursor);
    const to = at >= 0 ? at + step : step > 1 ? rows.length - 1 : 0;
    const next = rows[Math.max(0, Math.min(rows.length - 1, to))];
    cursor = Number(next.dataset.row);
    paint();
    next.scrollIntoView({ block: "nearest" });
    if (opened) {
      clearTimeout(openTimer);
      openTimer = setTimeout(() => emit({ do: "open", id: cursor }), 120);
    }
  }
  function act(what) {
    const ids = picks.size ? Array.from(picks) : cursor !== null ? [cursor] : opened ? [opened] : [];
    emit({ do: what, ids });
    if (what === "ack") { picks.clear(); paint(); }
  }

  // --- what is pressed

  document.addEventListener("click", (event) => {
    start();
    const local = event.target.closest("[data-local]");
    if (local) {
      if (local.dataset.local === "sound") toggleMute();
      if (local.dataset.local === "unpick") { picks.clear(); paint(); }
      return;
    }
    const pressed = event.target.closest("[data-do]");
    if (!pressed || pressed.closest(".q-dialog")) return;
    const said = pressed.dataset, id = said.id ? Number(said.id) : undefined;
    if (said.do === "pick") return pick(id);
    if (said.do === "open") return open(id);
    if (said.do === "step") {
      event.preventDefault(); // the tick shows what the journal says, not what was clicked
      return emit({ do: "step", id, step: Number(said.step) });
    }
    if (pressed.closest("#picked")) return act(said.do);
    emit({ ...said, id });
  });
  document.addEventListener("input", (event) => {
    if (event.target.id !== "search") return;
    clearTimeout(searchTimer);
    searchTimer = setTimeout(() => emit({ do: "search", text: event.target.value }), 150);
  });
  const KEYS = { a: "ack", p: "assign", c: "comment", s: "shelve", r: "unshelve", x: "close", i: "intervene" };
  document.addEventListener("keydown", (event) => {
    start();
    if (event.ctrlKey || event.altKey || event.metaKey || dialogIsOpen()) return;
    const typing = event.target.closest("input:not([type=checkbox]),textarea,select");
    if (typing) {
      if (event.key === "Escape" || event.key === "Enter") event.target.blur();
      return;
    }
    const onButton = event.target.closest("button,a");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const done = () => event.preventDefault();
    if (key === "ArrowDown") return done(), move(1);
    if (key === "ArrowUp") return done(), move(-1);
    if (key === "Home") return done(), move(-1e6);
    if (key === "End") return done(), move(1e6);
    if (key === "Enter" && !onButton && cursor !== null) return done(), open(cursor);
    if (key === " " && !onButton && cursor !== null && event.target.type !== "checkbox" && one("#picked")) return done(), pick(cursor);
    if (key === "Escape") {
      if (picks.size) { picks.clear(); paint(); }
      else emit({ do: "shut" });
      return done();
    }
    if (event.repeat) return;
    if (key === "/") return done(), one("#search")?.focus();
    if (key === "?") return done(), emit({ do: "keys" });
    if (key === "m") return done(), toggleMute();
    const tab = "123456".includes(key) ? all("[data-tab][role=tab]")[Number(key) - 1] : null;
    if (tab) return done(), emit({ do: "tab", tab: tab.dataset.tab });
    if (KEYS[key] && one(".wall")?.dataset.role !== "viewer") return done(), act(KEYS[key]);
  });

  // --- what Python changes

  let due = false;
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "attributes") continue;
      for (const node of change.addedNodes) {
        if (node.nodeType !== 1) continue;
        if (node.matches("time")) tickOne(node);
        node.querySelectorAll("time").forEach(tickOne);
        if (node.matches("[data-row]") || node.closest("[data-row]") || node.querySelector("[data-row]")) due = true;
      }
      if (change.removedNodes.length && change.target.classList.contains("rows")) due = true;
    }
    readPulse();
    if (due) {
      due = false;
      paint();
    }
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true,
    attributeFilter: ["data-now", "data-critical", "data-ring", "data-open", "data-cleared"] });
  setInterval(tick, 1000);
  window.addEventListener("load", tick);
})();
