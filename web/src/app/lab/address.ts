/** The state in the address: read when the page opens, written when nothing has changed for a moment. */

import { fromFragment, toFragment } from "../../core/state";
import { InputError } from "../../core/types";
import { lab } from "./lab.svelte";
import { trainer } from "./trainer.svelte";

/** Steps of the network with which the page opens. */
export const OPENING = 400;
const MOMENT = 350;
/** Longer addresses are not carried by everything they are pasted into; such a state is saved as a file. */
export const LONGEST = 60_000;

let written = "";
let timer: ReturnType<typeof setTimeout> | undefined;

/**
 * Put on the bench what the address says; a page without one opens with a network that is trained already.
 *
 * @param first whether the page is only just opening: later, a wrong address leaves everything as it is.
 */
export function open(first = true): void {
  const fragment = location.hash.replace(/^#/, "");
  written = fragment;
  try {
    const state = fromFragment(fragment);
    lab.restore(state);
    const told = state.parameters !== null || state.view === "fresh";
    if (!told) {
      lab.steps = 0;
      trainer.hurry(Math.min(2000, state.steps || OPENING));
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    lab.trouble = error.message;
    if (first) trainer.hurry(OPENING);
    else write();
  }
}

/** Someone has changed the address by hand, or gone back. */
export function changed(): void {
  if (location.hash.replace(/^#/, "") !== written) {
    trainer.stop();
    trainer.forget();
    open(false);
  }
}

/** Write the state in a moment. */
export function write(): void {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (trainer.running) return;
    const fragment = toFragment(lab.snapshot());
    if (fragment.length > LONGEST) return;
    written = fragment;
    try {
      history.replaceState(null, "", `#${fragment}`);
    } catch {
      // Browsers limit how often, and some forbid it to a page from disk; the page works without.
    }
  }, MOMENT);
}
