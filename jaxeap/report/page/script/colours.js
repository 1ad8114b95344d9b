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

// Up to four round numbers between the typical and the largest size.
jaxeap.roundNumbers = (scale) => {
  const found = [];
  for (let power = Math.floor(Math.log10(scale.typical)); 10 ** power <= scale.largest; power++) {
    for (const digit of [1, 2, 5]) {
      const tick = Number(`${digit}e${power}`);
      if (tick >= scale.typical && tick <= scale.largest) found.push(tick);
    }
  }
  const decades = found.filter((tick) => tick.toExponential()[0] === "1");
  const shown = found.length <= 3 || decades.length < 2 ? found : decades;
  const step = Math.ceil(shown.length / 4);
  return shown.length === 0 ? [scale.largest] : shown.filter((_, i) => (shown.length - 1 - i) % step === 0);
};

// An axis on that scale: values go through `scale.of`.
jaxeap.scaledAxis = (scale, more) => {
  const ticks = jaxeap.roundNumbers(scale);
  const all = [...[...ticks].reverse().map((tick) => -tick), 0, ...ticks];
  return jaxeap.axis({ tickvals: all.map(scale.of), ticktext: all.map(jaxeap.number), zeroline: true, ...more });
};

jaxeap.colourBar = (scale, signed) => {
  const ticks = [0, ...jaxeap.roundNumbers(scale)];
  const all = signed
    ? [
        ...ticks
          .slice(1)
          .reverse()
          .map((tick) => -tick),
        ...ticks,
      ]
    : ticks;
  return {
    tickvals: all.map(scale.of),
    ticktext: all.map(signed ? jaxeap.signed : jaxeap.number),
    thickness: 14,
    outlinewidth: 0,
    title: { text: "nats", font: { size: 12 } },
    tickfont: { size: 11 },
  };
};
