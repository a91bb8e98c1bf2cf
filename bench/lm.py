#!/usr/bin/env python3
"""Figures of the language models beside PyTorch (Debian's, with OpenBLAS), in interleaved rounds on the same cores, and as
shares of what this CPU can do at all, measured in the same run.

    bench/lm.py [--rounds 3] [--steps 4] [--models tanka villanelle ode]

Random weights and random tokens: the work is the same as with trained ones.  Both sides keep 30,000 logits; once more with
the vocabulary that a corpus really uses (4,096 ids), on both sides too."""
import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
BUILD = TOP / "build" / "bench"
PROGRAMS = BUILD / "bench"
PEER = ["/usr/bin/python3", str(TOP / "bench" / "lm_torch.py")]
THREADS = os.cpu_count() or 1
USED = 4096
# (hidden, layers, key-value width, layer width, experts used, domains): multiply-adds of one token, for shares of the peak.
SIZES = {"tanka": (432, 7, 108, 1296, 1, 1), "villanelle": (592, 9, 148, 592, 2, 4), "ode": (776, 8, 388, 388, 2, 8)}
DTYPES = ["f32", "bf16", "int8", "int4"]


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def lines_of(command, **extra):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": str(THREADS), **extra})
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def weights_of(model, vocab):
    """Active multiply-adds a token, without attention over the past."""
    h, layers, kv, width, used, experts = SIZES[model]
    router = experts * h if experts > 1 else 0
    layer = 2 * h * h + 2 * kv * h + 3 * h * width * used + router + 16 * h
    return layers * layer + vocab * h


def train_flops(model, vocab, length=256):
    """Forward and backward of one token, attention's two products over half the row included."""
    h, layers = SIZES[model][:2]
    return 6 * (weights_of(model, vocab) + layers * 2 * h * length / 2)


def same_work(folder):
    """Does the peer compute what we compute?  The same file, the same ids, every logit."""
    lines_of([PROGRAMS / "bench_lm_train", "--model", "tanka", "--steps", "2", "--dir", folder])
    ids = "5,17,3,29999,270,4000"
    ours = json.loads(subprocess.run([BUILD / "automat", "lm", "logits", "--model", f"{folder}/last", "--ids", ids],
                                     stdout=subprocess.PIPE, check=True, text=True).stdout)
    theirs = json.loads(subprocess.run([*PEER, "logits", f"{folder}/last", "--ids", ids], stdout=subprocess.PIPE,
                                       check=True, text=True).stdout)
    worst = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    if worst > 1e-4:
        raise SystemExit(f"the logits differ by {worst}: not the same work")
    return {"logits": len(ours), "worst": worst}


def train_round(model, vocab, steps, folder):
    found = {}
    for precision in ("f32", "bf16"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        found[precision] = lines_of([PROGRAMS / "bench_lm_train", "--model", model, "--precision", precision, "--steps",
                                     steps, "--threads", THREADS, "--vocab-used", vocab, "--dir", folder])[0]
    found["torch"] = lines_of([*PEER, "train", model, "--vocab", vocab, "--steps", steps, "--threads", THREADS])[0]
    return found


def decode_round(model, vocab):
    found = {}
    for dtype in DTYPES:
        found[dtype] = lines_of([PROGRAMS / "bench_lm_decode", "--model", model, "--dtype", dtype, "--vocab-used", vocab,
                                 "--threads", THREADS])[0]
    found["torch"] = lines_of([*PEER, "decode", model, "--vocab", vocab, "--threads", THREADS])[0]
    return found


def middle(rounds, who, key):
    return statistics.median(one[who][key] for one in rounds)


def span(rounds, who, key):
    values = [one[who][key] for one in rounds]
    return f"{min(values):,.0f}-{max(values):,.0f}"


def train_rows(result, peak):
    yield "| model, ids | ours f32 tok/s | ours bf16 | PyTorch f32 | f32 ratio (wanted 1.5) | bf16 ratio (wanted 2.5) | f32 share of the FMA peak | peak memory ours / theirs (wanted < 0.60) |"
    yield "|---|---|---|---|---|---|---|---|"
    for entry in result["train"]:
        rounds, model, vocab = entry["rounds"], entry["model"], entry["vocab"]
        f32, bf16, torch = (middle(rounds, who, "tok_s") for who in ("f32", "bf16", "torch"))
        memory = middle(rounds, "f32", "peak_mib") / middle(rounds, "torch", "peak_mib")
        share = f32 * train_flops(model, vocab) / (peak * 1e9)
        yield (f"| {model}, {vocab:,} | {f32:,.0f} ({span(rounds, 'f32', 'tok_s')}) | {bf16:,.0f} "
               f"({span(rounds, 'bf16', 'tok_s')}) | {torch:,.0f} ({span(rounds, 'torch', 'tok_s')}) | {f32 / torch:.2f} | "
               f"{bf16 / torch:.2f} | {share:.2f} | {middle(rounds, 'f32', 'peak_mib'):,.0f} / "
               f"{middle(rounds, 'torch', 'peak_mib'):,.0f} MiB = {memory:.2f} |")


def decode_rows(result, bandwidth):
    yield "| model, ids | f32 tok/s | bf16 | int8 | int4 | PyTorch f32 | int8 ratio (wanted 8 tanka, 5 others) | weights read a token in int8, as a share of the memory read rate |"
    yield "|---|---|---|---|---|---|---|---|"
    for entry in result["decode"]:
        rounds, model, vocab = entry["rounds"], entry["model"], entry["vocab"]
        rates = [middle(rounds, who, "decode_tok_s") for who in DTYPES]
        torch = middle(rounds, "torch", "decode_tok_s")
        share = rates[2] * middle(rounds, "int8", "weight_bytes") / (bandwidth * 1e9)
        cells = " | ".join(f"{rate:,.0f} ({span(rounds, who, 'decode_tok_s')})" for rate, who in zip(rates, DTYPES))
        yield (f"| {model}, {vocab:,} | {cells} | {torch:,.1f} | **{rates[2] / torch:.1f}** (int4 {rates[3] / torch:.1f}, "
               f"f32 {rates[0] / torch:.1f}) | {share:.2f} |")


def prompt_rows(result):
    yield "| model, ids | f32 tok/s | bf16 | int8 | int4 | PyTorch f32 | ratio of the best (wanted 1.5) | ratio f32 |"
    yield "|---|---|---|---|---|---|---|---|"
    for entry in result["decode"]:
        rounds = entry["rounds"]
        rates = [middle(rounds, who, "prompt_tok_s") for who in DTYPES]
        torch = middle(rounds, "torch", "prompt_tok_s")
        cells = " | ".join(f"{rate:,.0f}" for rate in rates)
        yield (f"| {entry['model']}, {entry['vocab']:,} | {cells} | {torch:,.0f} | {max(rates) / torch:.2f} | "
               f"{rates[0] / torch:.2f} |")


def table(result):
    peak = max(line["gflops"] for line in result["limits"] if line["what"] == "peak")
    reads = [line for line in result["limits"] if line["what"] == "read" and line["threads"] == THREADS]
    memory = max(reads, key=lambda line: line["mib"])
    gemm = [line for line in result["limits"] if line["what"] == "gemm" and line["precision"] == "f32"]
    out = ["# Language models beside PyTorch", "",
           f"Made by `bench/run.sh lm` on {result['at']}, {result['machine']}, {result['isa']}, {THREADS} threads; medians of "
           f"{result['rounds']} interleaved rounds, lowest and highest in brackets; PyTorch {result['torch']} with OpenBLAS. "
           f"Both sides were compared first: {result['same']['logits']:,} logits of one file, worst difference "
           f"{result['same']['worst']:.1e}.", "",
           f"Limits in the same run: {peak:,.0f} GFLOP/s (fp32 FMA), "
           + ", ".join(f"{line['gb_per_s']:.0f} GB/s reading {line['mib']} MiB" for line in reads) + ".", "",
           "## Training (8 x 256 tokens a step, dropout, clipping and AdamW included)", "", *train_rows(result, peak), "",
           *([] if "bf16" in result["isa"] else ["This CPU has no bf16 instructions: operands are rounded, and multiplied as "
                                                 "fp32. The wanted ratio of bf16 needs a CPU that has them.", ""]),
           "## Decoding (64 tokens after a prompt of 128, sampled; real routing; every logit)", "",
           *decode_rows(result, memory["gb_per_s"]), "",
           "A share above 1 means that the weights stay in the shared cache.", "",
           "## Reading a prompt (128 tokens)", "", *prompt_rows(result), "",
           "## Matrix products (fp32)", "", "| shape (M x N x K) | threads | GFLOP/s | share of the peak of as many threads |",
           "|---|---|---|---|",
           *(f"| {line['shape']} {line['m']}x{line['n']}x{line['k']} | {line['threads']} | {line['gflops']:.0f} | "
             f"{line['of_f32_peak']:.2f} |" for line in gemm), ""]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--models", nargs="+", default=list(SIZES))
    parser.add_argument("--out", default=str(TOP / "bench" / "results"))
    given = parser.parse_args()
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="automat-bench-lm-"))
    result = {"at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "rounds": given.rounds,
              "machine": f"{THREADS} cores, {platform.machine()}", "train": [], "decode": []}
    try:
        say("limits of this CPU")
        result["limits"] = lines_of([PROGRAMS / "bench_lm_kernel"])
        result["isa"] = next(line["isa"] for line in result["limits"] if "isa" in line)
        (scratch / "same").mkdir()
        say("the same logits on both sides")
        result["same"] = same_work(scratch / "same")
        for vocab in (30000, USED):
            for model in given.models:
                training, decoding = [], []
                for number in range(given.rounds):
                    say(f"{model}, {vocab} ids, round {number + 1} of {given.rounds}")
                    training.append(train_round(model, vocab, given.steps, scratch / "train"))
                    decoding.append(decode_round(model, vocab))
                result["train"].append({"model": model, "vocab": vocab, "rounds": training})
                result["decode"].append({"model": model, "vocab": vocab, "rounds": decoding})
        result["torch"] = training[0]["torch"]["torch"]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    folder = pathlib.Path(given.out)
    folder.mkdir(exist_ok=True)
    (folder / "lm.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "lm.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
