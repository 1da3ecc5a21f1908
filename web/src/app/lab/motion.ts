/** Movement over time, which readers may have asked their system to leave out. */

const asked = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)");

/** Whether things should jump instead of move. */
export function still(): boolean {
  return asked?.matches ?? false;
}

export function eased(k: number): number {
  return k < 0.5 ? 4 * k ** 3 : 1 - (-2 * k + 2) ** 3 / 2;
}

/**
 * Call `frame` with numbers rising from 0 to 1, the last call being with 1.
 *
 * @returns how to stop it.
 */
export function animate(milliseconds: number, frame: (k: number) => void): () => void {
  if (still()) {
    frame(1);
    return () => {};
  }
  const start = performance.now();
  let handle = requestAnimationFrame(function next(now: number) {
    const k = Math.min(1, Math.max(0, (now - start) / milliseconds));
    frame(k);
    if (k < 1) handle = requestAnimationFrame(next);
  });
  return () => cancelAnimationFrame(handle);
}
