/** Light or dark, and the colours that are drawn on canvases. */

export interface Palette {
  readonly card: Rgb;
  readonly sunk: Rgb;
  readonly ink: Rgb;
  readonly ink2: Rgb;
  readonly line: Rgb;
  readonly lineStrong: Rgb;
  readonly positive: Rgb;
  readonly negative: Rgb;
  readonly third: Rgb;
  readonly neutral: Rgb;
  readonly accent: Rgb;
  /** Low, middling and high loss. */
  readonly heights: readonly [Rgb, Rgb, Rgb];
  /** 511 colours from the most negative value over zero to the most positive one. */
  readonly diverging: Uint8ClampedArray;
  /** Families of fonts. */
  readonly sans: string;
  readonly serif: string;
}

export type Rgb = readonly [number, number, number];

const KEY = "orbitope-theme";

class Theme {
  dark = $state(false);
  palette = $derived.by(() => read(this.dark));

  constructor() {
    const system = globalThis.matchMedia("(prefers-color-scheme: dark)");
    const kept = remembered();
    this.set(kept ? kept === "dark" : system.matches);
    system.addEventListener("change", (event) => {
      if (!remembered()) this.set(event.matches);
    });
  }

  toggle(): void {
    this.set(!this.dark);
    try {
      localStorage.setItem(KEY, this.dark ? "dark" : "light");
    } catch {
      // A page from disk may have no storage; the choice then lasts as long as the page.
    }
  }

  private set(dark: boolean): void {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    this.dark = dark;
  }
}

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function read(dark: boolean): Palette {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): Rgb => hex(style.getPropertyValue(`--${name}`).trim());
  const positive = colour("positive");
  const negative = colour("negative");
  const neutral = colour("neutral");
  return {
    card: colour("card"),
    sunk: colour("sunk"),
    ink: colour("ink"),
    ink2: colour("ink-2"),
    line: colour("line"),
    lineStrong: colour("line-strong"),
    positive,
    negative,
    third: colour("third"),
    neutral,
    accent: colour("accent"),
    heights: [colour("low"), colour("middle"), colour("high")],
    diverging: table(negative, neutral, positive),
    sans: style.getPropertyValue("--sans"),
    serif: style.getPropertyValue("--serif"),
  };
}

/** `#rgb` too: a build may shorten what the style sheet says. */
function hex(text: string): Rgb {
  const digits = text.replace("#", "");
  const n = Number.parseInt(digits.length === 3 ? digits.replace(/./g, "$&$&") : digits, 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}

function table(negative: Rgb, neutral: Rgb, positive: Rgb): Uint8ClampedArray {
  const out = new Uint8ClampedArray(3 * 511);
  for (let k = 0; k < 511; k++) {
    const v = (k - 255) / 255;
    const c = mix(neutral, v < 0 ? negative : positive, Math.abs(v) ** 0.85);
    out.set(c, 3 * k);
  }
  return out;
}

export function mix(a: Rgb, b: Rgb, k: number): Rgb {
  return [a[0] + (b[0] - a[0]) * k, a[1] + (b[1] - a[1]) * k, a[2] + (b[2] - a[2]) * k];
}

/** The colour of a height from 0 to 1. */
export function heightColour({ heights: [low, middle, high] }: Palette, k: number): Rgb {
  return k < 0.55 ? mix(low, middle, k / 0.55) : mix(middle, high, (k - 0.55) / 0.45);
}

export function css([r, g, b]: Rgb, alpha = 1): string {
  return `rgba(${Math.round(r)},${Math.round(g)},${Math.round(b)},${alpha})`;
}

/** Write the colour of `v`, from −1 to 1, as pixel number `at`. */
export function paint(pixels: Uint8ClampedArray, at: number, v: number, palette: Palette): void {
  const k = 3 * Math.round(255 + 255 * Math.max(-1, Math.min(1, v || 0)));
  pixels[4 * at] = palette.diverging[k] as number;
  pixels[4 * at + 1] = palette.diverging[k + 1] as number;
  pixels[4 * at + 2] = palette.diverging[k + 2] as number;
  pixels[4 * at + 3] = 255;
}

export const theme = new Theme();
