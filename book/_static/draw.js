// The page "Draw a digit": two nets of 1,560 parameters, computed here. No request, no library.
document.addEventListener("DOMContentLoaded", () => {
  const source = document.getElementById("draw-data");
  if (!source) return;
  const { nets, samples, opening } = JSON.parse(source.textContent);
  const SIDE = 28;
  const REACH = 3;

  // ---- the nets -------------------------------------------------------------------------------

  const floats = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  };
  for (const net of nets) {
    for (const layer of net.layers) {
      if (layer.type !== "conv") continue;
      layer.weight = floats(layer.weight);
      layer.bias = floats(layer.bias);
    }
  }

  // Maps are arrays of s*s numbers; the padding of a convolution is zero.
  function conv(layer, maps, s) {
    const each = layer.inputs / layer.groups;
    const perGroup = layer.outputs / layer.groups;
    const reach = (layer.size - 1) / 2;
    const result = [];
    for (let o = 0; o < layer.outputs; o++) {
      const out = new Float32Array(s * s).fill(layer.bias[o]);
      for (let i = 0; i < each; i++) {
        const from = maps[Math.floor(o / perGroup) * each + i];
        const base = (o * each + i) * layer.size ** 2;
        for (let dy = -reach; dy <= reach; dy++) {
          for (let dx = -reach; dx <= reach; dx++) {
            const weight = layer.weight[base + (dy + reach) * layer.size + dx + reach];
            for (let y = Math.max(0, -dy); y < Math.min(s, s - dy); y++) {
              for (let x = Math.max(0, -dx); x < Math.min(s, s - dx); x++) {
                out[y * s + x] += weight * from[(y + dy) * s + x + dx];
              }
            }
          }
        }
      }
      result.push(layer.relu ? out.map((value) => Math.max(0, value)) : out);
    }
    return result;
  }

  function pool(type, map, s) {
    const half = s / 2;
    const out = new Float32Array(half * half);
    if (type === "max") {
      for (let y = 0; y < half; y++) {
        for (let x = 0; x < half; x++) {
          const at = 2 * y * s + 2 * x;
          out[y * half + x] = Math.max(map[at], map[at + 1], map[at + s], map[at + s + 1]);
        }
      }
      return out;
    }
    const d = s - 1; // the maximum at every pixel, then blurred, mirrored at the border
    const dense = new Float32Array(d * d);
    for (let y = 0; y < d; y++) {
      for (let x = 0; x < d; x++) {
        const at = y * s + x;
        dense[y * d + x] = Math.max(map[at], map[at + 1], map[at + s], map[at + s + 1]);
      }
    }
    const mirror = (i) => (i < 0 ? -i : i >= d ? 2 * d - 2 - i : i);
    for (let y = 0; y < half; y++) {
      for (let x = 0; x < half; x++) {
        let sum = 0;
        for (let dy = -1; dy <= 1; dy++) {
          for (let dx = -1; dx <= 1; dx++) {
            const weight = (2 - Math.abs(dy)) * (2 - Math.abs(dx));
            sum += weight * dense[mirror(2 * y + dy) * d + mirror(2 * x + dx)];
          }
        }
        out[y * half + x] = sum / 16;
      }
    }
    return out;
  }

  // Pixels are 784 numbers from 0 to 255. Returns the maps of every layer, and ten logits.
  function forward(net, pixels) {
    let maps = [Float32Array.from(pixels, (p) => (p / 255 - net.mean) / net.std)];
    let s = SIDE;
    const steps = [];
    for (const layer of net.layers) {
      if (layer.type === "conv") maps = conv(layer, maps, s);
      else if (layer.type === "mean") {
        maps = maps.map((map) => Float32Array.of(map.reduce((a, b) => a + b, 0) / map.length));
        s = 1;
      } else {
        maps = maps.map((map) => pool(layer.type, map, s));
        s /= 2;
      }
      steps.push({ name: layer.name, maps, side: s });
    }
    return { steps, logits: maps.map((map) => map[0]) };
  }

  function softmax(logits) {
    const highest = Math.max(...logits);
    const powers = logits.map((value) => Math.exp(value - highest));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((value) => value / sum);
  }
  const best = (values) => values.indexOf(Math.max(...values));

  function shifted(pixels, down, right) {
    const out = new Float32Array(SIDE * SIDE);
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const from = [y - down, x - right];
        if (from.every((i) => i >= 0 && i < SIDE)) out[y * SIDE + x] = pixels[from[0] * SIDE + from[1]];
      }
    }
    return out;
  }
  window.effcnnDraw = { nets, forward }; // for the test that compares it with PyTorch

  // ---- the page -------------------------------------------------------------------------------

  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const byId = (id) => document.getElementById(id);
  const canvas = byId("draw-canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  let pixels = new Float32Array(SIDE * SIDE);

  // Grey values on a small canvas; a CSS size makes them visible.
  function paint(target, values, side, low, high) {
    const image = target.getContext("2d").createImageData(side, side);
    values.forEach((value, i) => {
      const grey = (255 * (value - low)) / (high - low || 1);
      image.data.set([grey, grey, grey, 255], 4 * i);
    });
    target.getContext("2d").putImageData(image, 0, 0);
  }

  function showDigit() {
    const small = make("canvas", { width: SIDE, height: SIDE });
    paint(small, pixels, SIDE, 0, 255);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  }

  const head = byId("draw-table").tHead.rows[0];
  const bars = nets.map((net) => {
    head.append(make("th", { scope: "col", textContent: `with ${net.title}`, title: net.origin }));
    return [];
  });
  for (let digit = 0; digit < 10; digit++) {
    const row = byId("draw-table").tBodies[0].insertRow();
    row.append(make("th", { scope: "row", textContent: digit }));
    for (const list of bars) {
      const bar = make("span", { className: "draw-bar" });
      const text = make("span", { className: "draw-percent" });
      row.append(make("td", {}, text, " ", bar));
      list.push({ bar, text, row });
    }
  }

  const grids = nets.map((net) => {
    const table = make("table", { className: "draw-grid" });
    table.append(make("caption", { textContent: `with ${net.title}` }));
    const fields = [];
    for (let down = -REACH; down <= REACH; down++) {
      const row = table.insertRow();
      for (let right = -REACH; right <= REACH; right++) {
        fields.push({ down, right, field: row.insertCell() });
      }
    }
    byId("draw-shifts").append(table);
    return fields;
  });

  // Of each net the layers that have maps, each with a small canvas per channel.
  const layersOf = (net) => forward(net, pixels).steps.filter((step) => step.side > 1);
  const pictures = nets.map((net) => {
    const title = make("h3", { textContent: `with ${net.title}` });
    const column = make("div", { className: "draw-inside" }, title);
    byId("draw-maps").append(column);
    return layersOf(net).map(({ name, maps, side }) => {
      const channels = maps.map(() => make("canvas", { width: side, height: side }));
      // One picture to a screen reader: it has enough to read without each channel.
      const ariaLabel = `${name} with ${net.title}: ${maps.length} maps of ${side}×${side} pixels`;
      const line = make("div", { className: "draw-line", role: "img", ariaLabel }, ...channels);
      column.append(make("p", { className: "draw-name", textContent: name }), line);
      return channels;
    });
  });

  function showMaps(net, channels) {
    layersOf(net).forEach(({ maps, side }, layer) => {
      const all = maps.flatMap((map) => [...map]);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      maps.forEach((map, i) => paint(channels[layer][i], map, side, low, high));
    });
  }

  // Two passes per net: fast enough for every stroke.
  function answer() {
    showDigit();
    const empty = !pixels.some((value) => value > 0);
    const said = nets.map((net, i) => {
      const chances = softmax(forward(net, pixels).logits);
      chances.forEach((chance, digit) => {
        const { bar, text } = bars[i][digit];
        bar.style.width = empty ? "0" : `calc((100% - 3.5rem) * ${chance})`; // beside its number
        text.textContent = empty ? "" : `${(100 * chance).toFixed(1)}%`;
      });
      const first = best(chances);
      return `with ${net.title}: ${first} (${(100 * chances[first]).toFixed(0)}%)`;
    });
    byId("draw-said").textContent = empty
      ? "Nothing yet: draw a digit, or take one."
      : `The answer ${said.join("; ")}.`;
  }

  // A hundred passes and hundreds of small pictures: when the hand rests.
  function answerShifted() {
    const empty = !pixels.some((value) => value > 0);
    nets.forEach((net, i) => {
      const first = best(forward(net, pixels).logits);
      let others = 0;
      for (const { down, right, field } of grids[i]) {
        const there = empty ? "" : best(forward(net, shifted(pixels, down, right)).logits);
        field.textContent = there;
        const differs = !empty && there !== first;
        field.className = differs ? "draw-other" : "";
        others += differs;
      }
      const caption = grids[i][0].field.closest("table").caption;
      caption.textContent = `with ${net.title}` + (empty ? "" : `: ${others} of 48 differ`);
      showMaps(net, pictures[i]);
    });
  }

  const PAUSE = 150; // ms without a change
  let waiting = 0;
  let resting = 0;
  const soon = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(answer);
    clearTimeout(resting);
    resting = setTimeout(answerShifted, PAUSE);
  };

  // ---- drawing --------------------------------------------------------------------------------

  let last = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((v) => (v * SIDE) / box.width);
  };
  // A round pen, soft at its edge, like the digits of MNIST.
  function dab(x, y) {
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) {
        const far = Math.hypot(column + 0.5 - x, row + 0.5 - y);
        const ink = 255 * Math.min(1, Math.max(0, 1.7 - far));
        const at = row * SIDE + column;
        pixels[at] = Math.max(pixels[at], ink);
      }
    }
  }
  function stroke(to) {
    const from = last || to;
    const steps = Math.ceil(4 * Math.hypot(to[0] - from[0], to[1] - from[1])) + 1;
    for (let i = 1; i <= steps; i++) {
      dab(from[0] + ((to[0] - from[0]) * i) / steps, from[1] + ((to[1] - from[1]) * i) / steps);
    }
    last = to;
    soon();
  }
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    stroke(place(event));
  });
  canvas.addEventListener("pointermove", (event) => last && stroke(place(event)));
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      last = null;
    });
  }

  // MNIST's digits have their centre of mass in the middle; the nets have seen no others.
  function centre() {
    let [mass, down, right] = [0, 0, 0];
    pixels.forEach((ink, at) => {
      mass += ink;
      down += ink * Math.floor(at / SIDE);
      right += ink * (at % SIDE);
    });
    if (!mass) return;
    const middle = (SIDE - 1) / 2;
    pixels = shifted(pixels, Math.round(middle - down / mass), Math.round(middle - right / mass));
    soon();
  }
  byId("draw-centre").addEventListener("click", centre);
  byId("draw-clear").addEventListener("click", () => {
    pixels = new Float32Array(SIDE * SIDE);
    soon();
  });
  for (const button of document.querySelectorAll("#draw [data-move]")) {
    button.addEventListener("click", () => {
      pixels = shifted(pixels, ...button.dataset.move.split(",").map(Number));
      soon();
    });
  }
  samples.forEach((sample, digit) => {
    const button = make("button", { type: "button", textContent: digit, ariaLabel: `a ${digit}` });
    button.addEventListener("click", () => {
      pixels = Float32Array.from(sample);
      soon();
    });
    byId("draw-samples").append(button);
  });
  pixels = Float32Array.from(samples[opening]);
  answer();
  answerShifted();
});
