/** Saving what is on the bench, and opening what was saved. */

import { parseCsv } from "../../core/datasets";
import { SAVED_AS } from "../../core/python";
import { fromJson, toJson, toSafetensors, withSafetensors } from "../../core/state";
import { InputError } from "../../core/types";
import { lab } from "./lab.svelte";
import { trainer } from "./trainer.svelte";

export function saveJson(): void {
  download("explorer.json", new Blob([toJson(lab.snapshot())], { type: "application/json" }));
}

export function saveSafetensors(): void {
  download(
    SAVED_AS,
    new Blob([toSafetensors(lab.snapshot())], { type: "application/octet-stream" }),
  );
}

function download(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  lab.say(`Saved as ${name}.`);
}

/** Data of the reader's are trained on for this many steps at once. */
const AFRESH = 400;

/** A saved state, a network, or data; on trouble everything stays as it was. */
export async function openFile(file: File): Promise<void> {
  try {
    await read(file);
    lab.trouble = "";
    lab.say(`Opened ${file.name}.`);
  } catch (error) {
    lab.trouble = error instanceof InputError ? error.message : `${file.name} could not be read.`;
  }
}

async function read(file: File): Promise<void> {
  const ending = file.name.toLowerCase().split(".").at(-1);
  if (ending === "json") replace(fromJson(await file.text(), file.name));
  else if (ending === "safetensors")
    replace(withSafetensors(lab.snapshot(), await file.arrayBuffer(), file.name));
  else if (ending === "csv" || ending === "tsv" || ending === "txt") {
    const data = parseCsv(await file.text(), file.name);
    trainer.stop();
    lab.takeData("own", data);
    trainer.restart(AFRESH);
  } else
    throw new InputError(
      `${file.name} is of no kind that this page reads: .json, .safetensors, .csv, .tsv or .txt.`,
    );
}

function replace(state: Parameters<typeof lab.restore>[0]): void {
  trainer.stop();
  trainer.forget();
  lab.restore(state);
}
