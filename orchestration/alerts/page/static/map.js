// The map in the browser: the ground as dots, alarms as marks, the zone of the open one, vehicles.
// Here: drawing, and asking for what changed. Not here: what is pressed: a mark is a button that says data-do="open", as a row does.
// NiceGUI loads this before it makes its Leaflet map, which the hook below is given.
"use strict";
(() => {
  const LEAST_MS = 700; // alarms are asked for at most so often: a storm of changes is a handful of questions
  const GROUND_MS = 600000; // the referential changes a few times a day; the answer is « not modified »
  const VEHICLES_MS = 30000; // as often as the server reads them
  const RETRY_MS = 3000;
  const LETTERS = { 1: "C", 2: "H", 3: "M", 4: "B" }, NAMES = { 1: "critique", 2: "haute", 3: "moyenne", 4: "basse" };

  const one = (selector) => document.querySelector(selector);
  const escaped = (text) => { const e = document.createElement("i"); e.textContent = text; return e.innerHTML.replace(/"/g, "&quot;"); };

  async function ask(path) {
    const answer = await fetch(path, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  }

  function points(encoded) {
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    return new Uint16Array(bytes.buffer);
  }

  // Places of the ground in Mercator, 0 to 1 across the world: a tile only scales them.
  function projected(encoded, [west, south, east, north]) {
    const steps = points(encoded), n = steps.length / 2, x = new Float64Array(n), y = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const lon = west + (steps[2 * i] / 65535) * (east - west), lat = south + (steps[2 * i + 1] / 65535) * (north - south);
      x[i] = lon / 360 + 0.5;
      const s = Math.sin((lat * Math.PI) / 180);
      y[i] = 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI);
    }
    return { x, y };
  }

  function start(map) {
    const L = window.L;
    const box = map.getContainer().closest(".map"), pulse = one(".pulse"), note = box?.querySelector(".map-note");
    if (!box || !pulse) return;
    let ground = null, isGroundKnown = false, groundTag = "", tiles = null, names = L.layerGroup().addTo(map), isFitted = false;
    const marks = new Map(), layer = L.layerGroup().addTo(map), zoneLayer = L.layerGroup().addTo(map), cars = L.layerGroup().addTo(map);
    let alarms = [], placeless = 0, carsSaid = "", opened = 0, timer = 0, askedAt = 0, seq = null;

    L.control.zoom({ position: "topright", zoomInTitle: "Agrandir", zoomOutTitle: "Réduire" }).addTo(map);
    const home = L.control({ position: "topright" });
    home.onAdd = () => {
      const bar = L.DomUtil.create("div", "leaflet-bar");
      const button = L.DomUtil.create("button", "map-home", bar);
      button.type = "button";
      button.title = "Tout le territoire";
      button.setAttribute("aria-label", "Tout le territoire");
      button.innerHTML = '<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4" fill="none" stroke="currentColor" stroke-width="2"/></svg>';
      L.DomEvent.disableClickPropagation(bar);
      L.DomEvent.on(button, "click", () => fit());
      return bar;
    };
    home.addTo(map);

    // --- the ground

    const Dots = L.GridLayer.extend({
      createTile(coords) {
        const tile = document.createElement("canvas"), size = this.getTileSize(), ratio = window.devicePixelRatio || 1;
        tile.width = size.x * ratio;
        tile.height = size.y * ratio;
        if (!ground) return tile;
        const pen = tile.getContext("2d"), scale = 256 * 2 ** coords.z, left = coords.x * size.x, top = coords.y * size.y;
        pen.scale(ratio, ratio);
        const side = coords.z < 12 ? 1 : coords.z < 15 ? 1.6 : coords.z < 17 ? 3 : 5;
        const draw = ({ x, y }, colour, width) => {
          pen.fillStyle = colour;
          for (let i = 0; i < x.length; i++) {
            const px = x[i] * scale - left, py = y[i] * scale - top;
            if (px > -6 && py > -6 && px < size.x + 6 && py < size.y + 6) pen.fillRect(px - width / 2, py - width / 2, width, width);
          }
        };
        draw(ground.lights, coords.z < 12 ? "#7d8da066" : "#8b9bb0aa", side);
        draw(ground.others, "#6f9fd0cc", side * 1.4);
        return tile;
      },
    });
    async function readGround() {
      const said = await ask("/carte/fond");
      const tag = JSON.stringify(said.bounds) + said.lights.length + said.lights.slice(0, 400) + said.others;
      if (tag === groundTag) return;
      groundTag = tag;
      ground = said.bounds && { bounds: said.bounds, lights: projected(said.lights, said.bounds), others: projected(said.others, said.bounds) };
      if (tiles) tiles.remove();
      tiles = ground ? new Dots({ updateWhenZooming: false, keepBuffer: 3 }).addTo(map) : null;
      names.clearLayers();
      for (const c of said.communes) {
        const icon = L.divIcon({ className: "map-name", html: `<span>${escaped(c.name)}</span>`, iconSize: [0, 0] });
        L.marker([c.lat, c.lon], { icon, interactive: false, keyboard: false, zIndexOffset: -1000 }).addTo(names);
      }
      isGroundKnown = true;
      thinNames();
      say();
      isFitted = false;
      fitOnce();
    }
    // Names that would cover a larger commune's are left out until the map is closer: they come with most equipment first.
    function thinNames() {
      const kept = [];
      names.eachLayer((marker) => {
        const span = marker.getElement()?.querySelector("span"), at = map.latLngToLayerPoint(marker.getLatLng());
        if (!span) return;
        const w = span.offsetWidth / 2 + 4, h = span.offsetHeight / 2;
        const covers = kept.some((o) => Math.abs(o.at.x - at.x) < o.w + w && Math.abs(o.at.y - at.y) < o.h + h);
        span.style.visibility = covers ? "hidden" : "";
        if (!covers) kept.push({ at, w, h });
      });
    }
    map.on("zoomend", thinNames);
    function whole() {
      if (ground) {
        const [west, south, east, north] = ground.bounds;
        return L.latLngBounds([south, west], [north, east]);
      }
      return alarms.length ? L.latLngBounds(alarms.map((a) => [a.lat, a.lon])) : null;
    }
    const motion = () => ({ animate: !window.matchMedia("(prefers-reduced-motion: reduce)").matches, duration: 0.4 });
    function fit() {
      const bounds = whole();
      if (bounds) map.fitBounds(bounds, { padding: [14, 14], maxZoom: 15, ...motion() });
    }
    function fitOnce() {
      if (isFitted || opened || !whole() || !map.getSize().x) return;
      isFitted = true;
      fit();
    }

    // --- alarms

    function html(a) {
      const said = `${a.t}, priorité ${NAMES[a.p]}${a.todo ? ", à acquitter" : ""}`;
      const looks = `p${a.p}${a.todo ? " todo" : ""}${a.active ? "" : " back"}${a.id === opened ? " open" : ""}`;
      return `<button type="button" class="map-mark ${looks}" data-do="open" data-id="${a.id}" title="${escaped(said)}" aria-label="${escaped(said)}"><b>${LETTERS[a.p]}</b></button>`;
    }
    function paint() {
      const wanted = new Set(alarms.map((a) => a.id));
      for (const [id, had] of marks) if (!wanted.has(id)) { had.marker.remove(); marks.delete(id); }
      alarms.forEach((a, i) => {
        const inside = html(a), had = marks.get(a.id), at = [a.lat, a.lon], above = a.id === opened ? 20000 : (5 - a.p) * 1000 + i;
        if (had) {
          if (had.lat !== a.lat || had.lon !== a.lon) had.marker.setLatLng(at);
          // The button itself stays, so that it keeps the focus.
          if (had.inside !== inside) had.marker.getElement()?.querySelector("button")?.replaceWith(...fresh(inside, had));
          if (had.above !== above) had.marker.setZIndexOffset(above);
          Object.assign(had, { inside, above, lat: a.lat, lon: a.lon });
          return;
        }
        const icon = L.divIcon({ className: "map-place", html: inside, iconSize: [0, 0] });
        const marker = L.marker(at, { icon, interactive: false, keyboard: false, zIndexOffset: above }).addTo(layer);
        marks.set(a.id, { marker, inside, above, lat: a.lat, lon: a.lon });
      });
      say();
    }
    function fresh(inside, had) {
      const holder = document.createElement("div");
      holder.innerHTML = inside;
      if (had.marker.getElement()?.contains(document.activeElement)) requestAnimationFrame(() => had.marker.getElement()?.querySelector("button")?.focus());
      return holder.children;
    }
    function say() {
      if (!note) return;
      const parts = [];
      if (placeless) parts.push(`${placeless} ${placeless > 1 ? "alarmes" : "alarme"} sans lieu : voir la liste`);
      if (isGroundKnown && !ground) parts.push("Aucun équipement placé : le fond de carte viendra du référentiel");
      if (carsSaid) parts.push(carsSaid);
      const text = parts.join(" · ");
      if (note.textContent !== text) note.textContent = text;
    }
    async function readAlarms() {
      askedAt = performance.now();
      const said = await ask("/carte/alarmes");
      alarms = said.alarms;
      placeless = said.placeless;
      paint();
      fitOnce();
    }
    function soon(wait) {
      if (timer) return;
      timer = setTimeout(async () => {
        timer = 0;
        try { await readAlarms(); } catch { soon(RETRY_MS); }
      }, Math.max(wait, askedAt + LEAST_MS - performance.now()));
    }

    // --- the open alarm

    async function readZone() {
      const id = opened;
      zoneLayer.clearLayers();
      paint();
      if (!id) return fit();
      let zone;
      try { zone = await ask(`/carte/zone/${id}`); } catch { return; }
      if (id !== opened) return;
      const bounds = L.latLngBounds([]), line = { color: "#8fd0ff", weight: 2, fillColor: "#8fd0ff", fillOpacity: 0.12, interactive: false };
      if (zone.area) {
        const area = L.geoJSON(zone.area, { style: line, interactive: false, pointToLayer: (_, at) => L.circleMarker(at, line) }).addTo(zoneLayer);
        bounds.extend(area.getBounds());
      }
      if (zone.hull.length > 2) L.polygon(zone.hull.map(([x, y]) => [y, x]), { ...line, dashArray: "6 5", lineJoin: "round" }).addTo(zoneLayer);
      for (const [x, y] of zone.under) {
        L.circleMarker([y, x], { radius: 3.5, stroke: false, fillColor: "#ffd88a", fillOpacity: 0.95, interactive: false, renderer: dots }).addTo(zoneLayer);
        bounds.extend([y, x]);
      }
      if (zone.place) {
        bounds.extend([zone.place[1], zone.place[0]]);
        if (!zone.hull.length && !zone.area) L.circle([zone.place[1], zone.place[0]], { ...line, radius: 60, dashArray: "6 5" }).addTo(zoneLayer);
      }
      map.invalidateSize();
      if (bounds.isValid()) map.fitBounds(bounds, { padding: [30, 30], maxZoom: 16, ...motion() });
    }
    const dots = L.canvas({ padding: 0.3 });

    // --- vehicles

    async function readVehicles() {
      const said = await ask("/carte/equipes"), now = Date.now() / 1000;
      cars.clearLayers();
      for (const v of said.vehicles) {
        const age = Math.max(0, Math.round((now - v.at) / 60)), text = `${v.name}, vu il y a ${age} min`;
        const icon = L.divIcon({ className: "map-place", html: `<span class="map-car" role="img" aria-label="${escaped(text)}" title="${escaped(text)}"></span>`, iconSize: [0, 0] });
        L.marker([v.lat, v.lon], { icon, interactive: false, keyboard: false, zIndexOffset: 500 }).addTo(cars);
      }
      const n = said.vehicles.length;
      carsSaid = said.error || (n ? `${n} véhicule${n > 1 ? "s" : ""} (positions de moins de 30 min)` : "");
      say();
    }

    // --- keeping in step

    const again = (read, every) => {
      const run = () => read().then(() => setTimeout(run, every), () => setTimeout(run, RETRY_MS));
      run();
    };
    function look() {
      if (pulse.dataset.seq !== seq) {
        seq = pulse.dataset.seq;
        soon(0);
      }
      const open = Number(pulse.dataset.open || 0);
      if (open !== opened) {
        opened = open;
        readZone();
      }
    }
    new MutationObserver(look).observe(pulse, { attributes: true, attributeFilter: ["data-seq", "data-open"] });
    new ResizeObserver(() => {
      map.invalidateSize({ animate: false });
      fitOnce();
    }).observe(map.getContainer());
    again(readGround, GROUND_MS);
    if (box.dataset.vehicles === "1") again(readVehicles, VEHICLES_MS);
    soon(0);
    look();
    box.dataset.ready = "1";
  }

  window.L.Map.addInitHook(function () {
    setTimeout(() => start(this)); // the map's own view is set first
  });
})();
