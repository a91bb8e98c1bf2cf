import { Dialog as Base } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import type { CSSProperties, ReactNode } from "react";
import { t } from "../i18n";

interface Props {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  /** Stays in view while the content scrolls. */
  footer?: ReactNode;
  width?: number;
}

/** A sheet from below on a phone, a card in the middle elsewhere. Escape and the veil close it. */
export function Dialog({ open, onClose, title, children, footer, width }: Props) {
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="dialog-veil" />
        <Base.Popup
          className="dialog"
          style={width ? ({ "--dialog-width": `${width}px` } as CSSProperties) : undefined}
        >
          <header className="flex items-start justify-between gap-4 px-5 pt-4 pb-2 sm:px-6">
            <Base.Title className="font-serif text-title font-medium">{title}</Base.Title>
            <Base.Close className="button button--quiet -mt-1.5 -mr-2 px-0" aria-label={t.common.close}>
              <X size={20} aria-hidden="true" />
            </Base.Close>
          </header>
          <div className="flex min-h-0 grow flex-col gap-5 overflow-y-auto px-5 pb-5 sm:px-6">{children}</div>
          {footer && (
            <footer className="border-t border-hairline px-5 py-4 pb-[max(1rem,env(safe-area-inset-bottom))] sm:px-6">
              {footer}
            </footer>
          )}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
