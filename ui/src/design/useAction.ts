import { useMutation } from "@tanstack/react-query";
import { queryClient } from "../lib/queries";
import { announce } from "./announce";
import { toast, toastProblem } from "./Toast";

/** A mutation that says in a toast what it did or could not do. */
export function useAction<Input, Output>(
  run: (input: Input) => Promise<Output>,
  done?: (output: Output) => string | undefined,
  quiet = false,
) {
  return useMutation({
    mutationFn: run,
    onSuccess: (output) => {
      const text = done?.(output);
      if (text) {
        toast(text);
        announce(text);
      }
    },
    onError: (error) => {
      if (!quiet) toastProblem(error);
      void queryClient.invalidateQueries({ queryKey: ["command"] });
      void queryClient.invalidateQueries({ queryKey: ["machines"] });
    },
  });
}
