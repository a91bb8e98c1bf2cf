import { useState } from "react";
import { t } from "../i18n";
import { announce } from "./announce";
import { Button } from "./Button";

/** Something that can be read once. */
export function Secret({ label, value, note }: { label: string; value: string; note: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setCopied(true);
      announce(t.common.copied);
    } catch {
      // No clipboard without https: the text is selectable.
    }
  };
  return (
    <div className="flex flex-col gap-2 rounded-l border border-dashed border-copper bg-copper-wash p-4">
      <p className="font-semibold">{label}</p>
      <div className="flex flex-wrap items-center gap-3">
        <code className="min-w-0 rounded-s bg-porcelain px-2 py-1.5 font-sans break-all select-all">{value}</code>
        <Button onClick={() => void copy()}>{copied ? t.common.copied : t.common.copy}</Button>
      </div>
      <p className="text-note">{note}</p>
    </div>
  );
}
