"use strict";
// Data, numbers and words. `jaxeap` holds what the scripts of this page share.
const jaxeap = {};

jaxeap.read = (name) => {
  const element = document.getElementById(`data-${name}`);
  return element === null ? null : JSON.parse(element.textContent);
};

const ARRAY_TYPES = { float32: Float32Array, uint32: Uint32Array };

jaxeap.unpack = (packed) => {
  const text = atob(packed.base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new ARRAY_TYPES[packed.dtype](bytes.buffer);
};

jaxeap.number = (value) => {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 1e-4 || size >= 1e6 ? value.toExponential(2) : Number(value.toPrecision(4)).toString();
  return text.replace("-", "−").replace("e−", "e−");
};

jaxeap.signed = (value) => (value > 0 ? "+" : "") + jaxeap.number(value);

jaxeap.interval = (low, high) =>
  Number.isFinite(low) && Number.isFinite(high) ? `[${jaxeap.signed(low)}, ${jaxeap.signed(high)}]` : "none";

jaxeap.count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

// Plotly reads some tags in its texts; names and questions shall be read as they are.
jaxeap.plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

jaxeap.options = (select, entries) => {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
};

jaxeap.median = (values) => {
  const sorted = Float64Array.from(values).sort();
  return sorted.length ? sorted[sorted.length >> 1] : 0;
};

// Runs `start` with the data of that name where the page has them.
jaxeap.start = (name, start) => {
  const data = jaxeap.read(name);
  if (data !== null) start(data);
};
