// The calculator of blocks and nets: it counts as effcnn.measure does. No request, no library.
const effcnnCalculator = (() => {
  const BATCH = 100; // images at a time, over which the weights are read once

  // One convolution with padding on a square map: its multiply-accumulates leave the bias out.
  function conv({ inputs, outputs, size, side, groups = 1, bias = false }) {
    const weights = (size * size * inputs * outputs) / groups;
    const places = side * side;
    return {
      params: weights + (bias ? outputs : 0),
      macs: weights * places,
      bytes: 4 * (places * (inputs + outputs) + weights / BATCH),
    };
  }

  const sum = (parts) => ({
    params: parts.reduce((all, part) => all + part.params, 0),
    macs: parts.reduce((all, part) => all + part.macs, 0),
    bytes: parts.reduce((all, part) => all + part.bytes, 0),
  });

  // A scale and a shift for each channel; it counts no multiply-accumulates.
  const normalisation = (channels) => ({ params: 2 * channels, macs: 0, bytes: 0 });

  // A block, dense and as a depth-wise and a point-wise part.
  function block({ inputs, outputs, size, side, bias = false, norm = false }) {
    const after = norm ? [normalisation(outputs)] : [];
    const depthwise = conv({ inputs, outputs: inputs, size, side, groups: inputs, bias });
    const pointwise = conv({ inputs, outputs, size: 1, side, bias });
    return {
      dense: sum([conv({ inputs, outputs, size, side, bias }), ...after]),
      depthwise,
      pointwise,
      separable: sum([depthwise, pointwise, ...after]),
    };
  }

  // The layers of a net in the notation of the table of architectures. Throws what is wrong.
  function net(text, { channels, size: side, bias, classes }) {
    const words = text.trim().toUpperCase().split(/\s+/);
    if (words.length < 3 || words.at(-2) !== "GAP" || words.at(-1) !== String(classes)) {
      throw new Error(`The end must be GAP ${classes}.`);
    }
    const rows = [];
    const add = (name, kind, width, cost) => {
      rows.push({ name, kind, shape: `${width}×${side}×${side}`, params: cost.params, macs: cost.macs });
    };
    const counts = { conv: 0, tb: 0, pool: 0 };
    for (const word of words.slice(0, -2)) {
      if (word === "M") {
        side = Math.floor(side / 2);
        if (!side) throw new Error("So many M leave no pixel.");
        add(`pool${++counts.pool}`, "max-pooling", channels, { params: 0, macs: 0 });
        continue;
      }
      const [, kind, digits] = word.match(/^(DW|TB|)([1-9][0-9]{0,3})$/) || [];
      if (!digits) throw new Error(`Cannot read ${word}: write 16, DW16, TB16 or M.`);
      const width = Number(digits);
      const given = { inputs: channels, outputs: width, side, bias };
      if (kind === "TB") {
        add(`tb${++counts.tb}`, "point-wise 1×1", width, conv({ ...given, size: 1 }));
      } else {
        const name = `conv${++counts.conv}`;
        if (kind === "DW") {
          const parts = block({ ...given, size: 3 });
          add(name, "depth-wise 3×3", channels, parts.depthwise);
          add(name, "point-wise 1×1", width, parts.pointwise);
        } else {
          add(name, "dense 3×3", width, conv({ ...given, size: 3 }));
        }
        add(name, "batch normalisation", width, normalisation(width));
      }
      channels = width;
    }
    side = 1;
    const classifier = conv({ inputs: channels, outputs: classes, size: 1, side });
    add("classifier", "point-wise 1×1", classes, classifier);
    return rows;
  }

  return { block, net, sum };
})();

document.addEventListener("DOMContentLoaded", () => {
  const source = document.getElementById("calculator-data");
  if (!source) return;
  const { families, nets } = JSON.parse(source.textContent);
  const place = (name) => document.getElementById(`calculator-${name}`);
  const counted = (number) => number.toLocaleString("en");

  // A row of a table: a head, then texts, of which numbers stand to the right.
  function row(cells) {
    const line = document.createElement("tr");
    cells.forEach((text, number) => {
      const cell = document.createElement(number ? "td" : "th");
      if (!number) cell.scope = "row";
      if (/^[\d.,]+$/.test(text)) cell.className = "num";
      cell.textContent = text;
      line.append(cell);
    });
    return line;
  }

  // ---- one block ------------------------------------------------------------------------------

  const fields = [...place("block").querySelectorAll("input")];
  const NAMES = {
    dense: "dense",
    depthwise: "depth-wise part",
    pointwise: "point-wise part",
    separable: "separable, both parts",
  };

  function showBlock() {
    const given = {};
    let wrong = false;
    for (const field of fields) {
      if (field.type === "checkbox") {
        given[field.name] = field.checked;
        continue;
      }
      const value = Number(field.value);
      const fits = field.value !== "" && field.checkValidity() && Number.isInteger(value);
      field.setAttribute("aria-invalid", String(!fits));
      given[field.name] = value;
      wrong = wrong || !fits;
    }
    const body = place("block-table").tBodies[0];
    if (wrong) {
      place("block-said").textContent =
        "Write whole numbers: channels up to 9,999, an odd kernel up to 31, a map up to 1,024.";
      body.replaceChildren();
      return;
    }
    const parts = effcnnCalculator.block(given);
    const lines = Object.entries(NAMES).map(([name, title]) => {
      const { params, macs, bytes } = parts[name];
      return row([title, counted(params), counted(macs), (macs / bytes).toFixed(2)]);
    });
    body.replaceChildren(...lines);
    const share = (what) => (parts.separable[what] / parts.dense[what]).toFixed(2);
    place("block-said").textContent =
      `The separable block has ${share("params")} times the parameters of the dense one ` +
      `and ${share("macs")} times its multiply-accumulates.`;
  }

  for (const field of fields) field.addEventListener("input", showBlock);

  // ---- a whole net ----------------------------------------------------------------------------

  const [preset, layers, family] = ["preset", "layers", "family"].map((name) =>
    place("net").querySelector(`[name="${name}"]`),
  );
  for (const name of Object.keys(nets)) preset.append(new Option(name, name));
  for (const [name, { channels, size }] of Object.entries(families)) {
    family.append(new Option(`${name}, ${channels}×${size}×${size}`, name));
  }

  function showNet() {
    const body = place("net-table").tBodies[0];
    try {
      const rows = effcnnCalculator.net(layers.value, families[family.value]);
      const all = effcnnCalculator.sum(rows);
      body.replaceChildren(
        ...rows.map((r) => row([r.name, r.kind, r.shape, counted(r.params), counted(r.macs)])),
        row(["all", "", "", counted(all.params), counted(all.macs)]),
      );
      layers.setAttribute("aria-invalid", "false");
      place("net-said").textContent =
        `${counted(all.params)} parameters, ${counted(all.macs)} multiply-accumulates of an image.`;
    } catch (error) {
      body.replaceChildren();
      layers.setAttribute("aria-invalid", "true");
      place("net-said").textContent = error.message;
    }
  }

  function start() {
    const chosen = nets[preset.value];
    layers.value = chosen.layers;
    family.value = chosen.family;
    showNet();
  }

  preset.addEventListener("change", start);
  layers.addEventListener("input", showNet);
  family.addEventListener("change", showNet);
  preset.value = "cifar10-143k-dw";
  start();
  showBlock();
});
