// Scores span many powers of ten: colours grow like asinh, linear below the typical size and logarithmic above.
jaxeap.scale = (magnitudes) => {
  let largest = 0;
  const positive = [];
  for (const value of magnitudes) {
    if (value > 0) {
      positive.push(value);
      if (value > largest) largest = value;
    }
  }
  const typical = jaxeap.median(positive) || 1;
  return { typical, largest: largest || 1, of: (value) => Math.asinh(value / typical) };
};

jaxeap.colourBar = (scale, signed) => {
  const ticks = [0];
  for (let power = Math.ceil(Math.log10(scale.typical)); 10 ** power <= scale.largest; power++) ticks.push(10 ** power);
  if (ticks.length < 3) ticks.push(scale.largest);
  const all = signed ? [...ticks.slice(1).reverse().map((tick) => -tick), ...ticks] : ticks;
  return {
    tickvals: all.map(scale.of), ticktext: all.map(signed ? jaxeap.signed : jaxeap.number), thickness: 14,
    outlinewidth: 0, title: { text: "nats", font: { size: 12 } }, tickfont: { size: 11 },
  };
};
