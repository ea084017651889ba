// A live spectrogram on a canvas. Times are seconds since 1970, by the source's own clock.

export const BANDS = 96;
const LOWEST_HZ = 60;
const HIGHEST_HZ = 15000;
const STEP_DB = 120 / 255;
const RANGE_DB = 48; // from the noise to the brightest
const KEPT_SECONDS = 45;
const LATE_SECONDS = 0.4; // so far the picture lags behind, for what the network needs now and then
const DEAF_SECONDS = 1.5; // later than that, what is missing is no delay any more
const FLOOR_SECONDS = 8; // so quickly it gets used to other noise
const QUICK_SECONDS = 1; // and so quickly when that is another by so much
const FAR_DB = 12;
const STEP_SECONDS = 2; // by more than that, somebody has set a clock
const CURSOR_SECONDS = 0.6;
const MARKED_HZ = [500, 1000, 2000, 4000, 8000];

const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);

export class Picture {
  // colours: [[position 0 to 1, [red, green, blue]], …]; still: no movement, the newest column goes round instead.
  constructor(canvas, colours, still) {
    this.canvas = canvas;
    this.still = still;
    this.deaf = false;
    this.strip = document.createElement("canvas");
    this.strip.height = BANDS;
    this.paint = this.strip.getContext("2d", { alpha: true });
    this.colour(colours);
    this.fit();
  }

  // Other colours: what was drawn in the old ones is forgotten.
  colour(colours) {
    this.table = table(colours);
    this.ground = css(colours[0][1]);
    this.hatching = colours[0][1][1] < 128 ? ["#2b303b", "#4d5462"] : ["#dcdee3", "#a7acb6"];
    this.ink = css(colours[colours.length - 1][1]);
    this.forget();
  }

  forget() {
    this.begin = this.end = null; // of what is in the strip
    this.gaps = [];
    this.floor = null;
    this.lead = null; // the source's time less the browser's
  }

  // `values`: BANDS bytes for each of `count` columns, one every so many `seconds`; the first begins with that `sample`, at
  // that time.
  add({ values, count, seconds, rate, sample, at }) {
    if (this.seconds !== seconds) {
      this.seconds = seconds;
      this.columns = Math.ceil(KEPT_SECONDS / seconds);
      this.strip.width = this.columns;
      this.forget();
    }
    const missing = this.end === null ? 0 : at - this.end;
    if (this.end === null || missing < -1 || missing > KEPT_SECONDS) {
      this.forget();
      this.begin = this.end = at;
      this.next = 0;
    } else if (missing > 3 * seconds) {
      const columns = Math.round(missing / seconds);
      // What was captured, and only came too late to be shown, is no deafness.
      const unseen = Math.max(0, sample - this.sample) / rate;
      if (missing - unseen > 3 * seconds) this.gaps.push([this.end + unseen, at]);
      this.clear(columns);
      this.next += columns;
    }
    this.sample = sample + count * seconds * rate;
    this.adapt(values, count * seconds);
    this.drawColumns(values, count);
    this.next += count;
    this.end = at + count * seconds;
    this.begin = Math.max(this.begin, this.end - KEPT_SECONDS + 1);
    this.gaps = this.gaps.filter((gap) => gap[1] > this.begin);
    const lead = this.end - performance.now() / 1000;
    // The message that was least late tells what time it is there.
    const isNear = this.lead !== null && this.lead - lead < STEP_SECONDS;
    this.lead = isNear ? Math.max(lead, this.lead - 0.002) : lead;
  }

  adapt(values, seconds) {
    const sorted = Uint8Array.from(values).sort();
    const median = sorted[sorted.length >> 1];
    if (median === 0) return; // of digital silence nothing is to be learnt
    this.floor ??= median;
    const isFar = Math.abs(median - this.floor) * STEP_DB > FAR_DB;
    this.floor += Math.min(1, seconds / (isFar ? QUICK_SECONDS : FLOOR_SECONDS)) * (median - this.floor);
  }

  clear(columns) {
    for (let done = 0; done < Math.min(columns, this.columns); done += 1) {
      this.paint.clearRect((this.next + done) % this.columns, 0, 1, BANDS);
    }
  }

  drawColumns(values, count) {
    const image = this.paint.createImageData(count, BANDS);
    const pixels = new Uint32Array(image.data.buffer);
    const scale = 255 / (RANGE_DB / STEP_DB);
    const floor = Math.max(8, (this.floor ?? 0) + 3);
    for (let column = 0; column < count; column += 1) {
      for (let band = 0; band < BANDS; band += 1) {
        const shade = Math.max(0, Math.min(255, (values[column * BANDS + band] - floor) * scale)) | 0;
        pixels[(BANDS - 1 - band) * count + column] = this.table[shade];
      }
    }
    const at = this.next % this.columns;
    this.paint.putImageData(image, at, 0);
    if (at + count > this.columns) this.paint.putImageData(image, at - this.columns, 0);
  }

  // The time at the newest edge.
  get edge() {
    return this.lead === null ? null : performance.now() / 1000 + this.lead - LATE_SECONDS;
  }

  // Adapt to the size on the screen.
  fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(2, devicePixelRatio || 1);
    if (!width || !height) return false;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    this.ratio = ratio;
    this.width = width;
    this.height = height;
    this.span = Math.max(10, Math.min(KEPT_SECONDS - 5, width / 32));
    this.scale = width / this.span; // pixels a second
    return true;
  }

  // Stretches of time and where they lie: [from, to, x of from], in CSS pixels.
  stretches(edge) {
    const { scale } = this;
    if (!this.still) return [[edge - this.span, edge, 0]];
    const page = Math.floor(edge / this.span) * this.span;
    const old = edge - this.span + CURSOR_SECONDS;
    return [
      [page, edge, 0],
      [old, Math.max(old, page), (old + this.span - page) * scale],
    ];
  }

  // Where a stretch of time is seen: [x, width], or null.
  place(from, to, edge) {
    const { scale } = this;
    let best = null;
    for (const [start, stop, x] of this.stretches(edge)) {
      const first = Math.max(from, start);
      const last = Math.min(to, stop);
      if (last > first && (best === null || last - first > best[1] / scale)) {
        best = [x + (first - start) * scale, (last - first) * scale];
      }
    }
    return best;
  }

  draw(zoneSeconds) {
    const edge = this.edge;
    if (!this.fit()) return;
    const pen = this.canvas.getContext("2d", { alpha: false });
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.fillStyle = this.ground;
    pen.fillRect(0, 0, this.width, this.height);
    if (edge !== null) {
      pen.imageSmoothingEnabled = true;
      for (const [from, to, x] of this.stretches(edge)) this.blit(pen, from, to, x);
      for (const [from, to] of this.gaps) this.hatch(pen, from, to, edge);
      if (edge - this.end > DEAF_SECONDS - LATE_SECONDS) this.hatch(pen, this.end, edge, edge);
      this.times(pen, edge, zoneSeconds);
    } else if (this.deaf) this.hatchOver(pen, 0, this.width);
    this.frequencies(pen);
  }

  blit(pen, from, to, x) {
    const { scale } = this;
    const first = Math.max(from, this.begin);
    const last = Math.min(to, this.end);
    if (last <= first) return;
    // Column `next` will begin at `end`.
    let at = this.next - (this.end - first) / this.seconds;
    let left = x + (first - from) * scale;
    let columns = (last - first) / this.seconds;
    while (columns > 1e-6) {
      const place = ((at % this.columns) + this.columns) % this.columns;
      const some = Math.min(columns, this.columns - place);
      const wide = some * this.seconds * scale;
      pen.drawImage(this.strip, place, 0, some, BANDS, left, 0, wide, this.height);
      at += some;
      left += wide;
      columns -= some;
    }
  }

  hatch(pen, from, to, edge) {
    const where = this.place(from, to, edge);
    if (where !== null) this.hatchOver(pen, ...where);
  }

  hatchOver(pen, x, width) {
    pen.save();
    pen.beginPath();
    pen.rect(x, 0, width, this.height);
    pen.clip();
    [pen.fillStyle, pen.strokeStyle] = this.hatching;
    pen.fillRect(x, 0, width, this.height);
    pen.lineWidth = 2;
    pen.beginPath();
    for (let at = x - this.height - (x % 14); at < x + width; at += 14) {
      pen.moveTo(at, this.height);
      pen.lineTo(at + this.height, 0);
    }
    pen.stroke();
    pen.restore();
  }

  times(pen, edge, zoneSeconds) {
    const step = this.span > 20 ? 5 : 2;
    pen.font = "12px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "bottom";
    for (const [from, to, x] of this.stretches(edge)) {
      for (let time = Math.ceil(from / step) * step; time < to; time += step) {
        const at = x + (time - from) * this.scale;
        if (at < 60 || at > this.width - 30) continue;
        const words = new Date((time + zoneSeconds) * 1000).toISOString().slice(11, 19);
        this.label(pen, words, at, this.height - 3);
      }
    }
  }

  frequencies(pen) {
    pen.font = "12px system-ui, sans-serif";
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    const low = mel(LOWEST_HZ);
    const high = mel(HIGHEST_HZ);
    for (const hertz of MARKED_HZ) {
      const y = this.height * (1 - (mel(hertz) - low) / (high - low));
      this.label(pen, hertz < 1000 ? `${hertz} Hz` : `${hertz / 1000} kHz`, 6, y);
    }
  }

  label(pen, words, x, y) {
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.strokeStyle = this.ground;
    pen.strokeText(words, x, y);
    pen.fillStyle = this.ink;
    pen.fillText(words, x, y);
  }
}

const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

// 256 colours, as the bytes of a pixel lie in memory.
function table(colours) {
  const pixels = new Uint32Array(256);
  for (let shade = 0; shade < 256; shade += 1) {
    const position = shade / 255;
    let above = colours.findIndex((stop) => stop[0] >= position);
    if (above < 1) above = 1;
    const [low, from] = colours[above - 1];
    const [high, to] = colours[above];
    const share = (position - low) / (high - low);
    const [red, green, blue] = from.map((value, part) => Math.round(value + share * (to[part] - value)));
    pixels[shade] = (255 << 24) | (blue << 16) | (green << 8) | red;
  }
  return pixels;
}
