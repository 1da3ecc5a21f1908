/** The notices of the packages whose code is in the script, as one comment at its end. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

export function licences(): Plugin {
  return {
    name: "licences",
    apply: "build",
    generateBundle(_, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type !== "chunk") continue;
        const used = Object.entries(file.modules).filter(([, part]) => part.renderedLength > 0);
        const packages = new Set(used.map(([id]) => packageOf(id)).filter((each) => each !== null));
        if (packages.size) file.code = `${file.code.trimEnd()}\n${notices([...packages].sort())}`;
      }
    },
  };
}

function packageOf(id: string): string | null {
  if (!id.includes("/node_modules/")) return null;
  for (
    let folder = dirname(id.replace(/^\0/, ""));
    folder !== dirname(folder);
    folder = dirname(folder)
  )
    if (existsSync(join(folder, "package.json")) && "version" in manifest(folder)) return folder;
  return null;
}

function manifest(folder: string): { name?: string; version?: string; license?: string } {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

/** Packages with one and the same text share it. */
function notices(folders: string[]): string {
  const byText = new Map<string, string[]>();
  for (const folder of folders) {
    const { name, version, license } = manifest(folder);
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    const text = file ? readFileSync(join(folder, file), "utf8").trim() : `${license} license`;
    byText.set(text, [...(byText.get(text) ?? []), `${name} ${version}`]);
  }
  const parts = [...byText].map(([text, names]) => `${names.join(", ")}\n\n${text}`);
  return `/*!\n${parts.join("\n\n----\n\n").replaceAll("*/", "* /")}\n*/\n`;
}
