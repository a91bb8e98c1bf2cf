#!/usr/bin/env python3
"""The PyTorch side of the language model figures: the same three models, written plainly for Debian's python3-torch.

    lm_torch.py train tanka --vocab 30000 --steps 4 --threads 2
    lm_torch.py decode tanka --vocab 30000 --threads 2 [--ids 128 --make 64]
    lm_torch.py logits DIR --ids 5,17,3          (reads our model.safetensors: are both doing the same work?)

Prints one line of JSON.  AdamW, clip 1.0 and dropout 0.1 in training; KV cache, sampling from the softmax in decoding."""
import argparse
import json
import math
import pathlib
import resource
import struct
import time

import torch
from torch import nn
from torch.nn import functional as F

SIZES = {"tanka": dict(h=432, layers=7, kv=2, width=1296, experts=0, context=1024),
         "villanelle": dict(h=592, layers=9, kv=2, width=592, experts=4, context=1024),
         "ode": dict(h=776, layers=8, kv=4, width=388, experts=8, context=1536)}
HEADS, DOMAINS, TOP = 8, 8, 2


class Gated(nn.Module):
    def __init__(self, h, width):
        super().__init__()
        self.w1 = nn.Linear(h, 2 * width, bias=False)
        self.w2 = nn.Linear(width, h, bias=False)

    def forward(self, x):
        value, gate = self.w1(x).chunk(2, -1)
        return self.w2(value * F.silu(gate))


class Experts(nn.Module):
    def __init__(self, h, width, count):
        super().__init__()
        self.router = nn.Linear(h, count, bias=False)
        self.experts = nn.ModuleList(Gated(h, width) for _ in range(count))

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        share = F.softmax(self.router(flat), -1)
        weight, chosen = share.topk(TOP, -1)
        weight = weight / weight.sum(-1, keepdim=True)
        used = F.one_hot(chosen, len(self.experts)).float().sum(1).mean(0) / TOP
        self.balance = len(self.experts) * (used * share.mean(0)).sum()
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            row, place = (chosen == number).nonzero(as_tuple=True)
            if row.numel():
                out = out.index_add(0, row, expert(flat[row]) * weight[row, place, None])
        return out.view_as(x)


def turn(x, cos, sin):
    """Rotate the first 2 * half dimensions of each head; an odd last one passes through."""
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
    return torch.cat((a * cos - b * sin, a * sin + b * cos, rest), -1)


class Layer(nn.Module):
    def __init__(self, h, kv, width, experts):
        super().__init__()
        self.d, self.kv = h // HEADS, kv
        self.dom = nn.Parameter(torch.randn(DOMAINS, h) * 0.02)
        self.blend = nn.Parameter(torch.zeros(1))
        self.ln1, self.ln2 = nn.LayerNorm(h, eps=1e-6), nn.LayerNorm(h, eps=1e-6)
        self.wq, self.wo = nn.Linear(h, h, bias=False), nn.Linear(h, h, bias=False)
        self.wk, self.wv = nn.Linear(h, kv * self.d, bias=False), nn.Linear(h, kv * self.d, bias=False)
        self.dom_w = nn.Linear(h, DOMAINS, bias=False)
        self.ff = Experts(h, width, experts) if experts else Gated(h, width)
        self.drop = nn.Dropout(0.1)

    def attend(self, x, cos, sin, cache, at):
        rows, count, h = x.shape
        q = turn(self.wq(x).view(rows, count, HEADS, self.d).transpose(1, 2), cos, sin)
        k = turn(self.wk(x).view(rows, count, self.kv, self.d).transpose(1, 2), cos, sin)
        v = self.wv(x).view(rows, count, self.kv, self.d).transpose(1, 2)
        if cache is not None:
            cache[0][:, :, at:at + count], cache[1][:, :, at:at + count] = k, v
            k, v = cache[0][:, :, :at + count], cache[1][:, :, :at + count]
        group = HEADS // self.kv
        score = q.reshape(rows, self.kv, group * count, self.d) @ k.transpose(-1, -2) / math.sqrt(self.d)
        if count > 1:
            seen = k.shape[2]
            later = torch.ones(count, seen, dtype=torch.bool).triu(seen - count + 1)
            score = score.view(rows, self.kv, group, count, seen).masked_fill(later, -math.inf)
            score = score.view(rows, self.kv, group * count, seen)
        mixed = (F.softmax(score, -1) @ v).view(rows, HEADS, count, self.d)
        return self.wo(mixed.transpose(1, 2).reshape(rows, count, h))

    def forward(self, x, cos, sin, cache=None, at=0):
        x = x + self.drop(self.attend(self.ln1(x), cos, sin, cache, at))
        x = x + torch.sigmoid(self.blend) * (F.softmax(self.dom_w(x), -1) @ self.dom)
        return x + self.drop(self.ff(self.ln2(x)))


class Model(nn.Module):
    def __init__(self, size, vocab):
        super().__init__()
        self.size, self.vocab = size, vocab
        h = size["h"]
        self.tok, self.pos = nn.Embedding(vocab, h), nn.Embedding(size["context"], h)
        nn.init.normal_(self.tok.weight, 0, 0.02)
        nn.init.normal_(self.pos.weight, 0, 0.02)
        self.blocks = nn.ModuleList(Layer(h, size["kv"], size["width"], size["experts"])
                                    for _ in range(size["layers"]))
        self.norm, self.drop = nn.LayerNorm(h, eps=1e-6), nn.Dropout(0.1)
        half = h // HEADS // 2
        angle = torch.arange(size["context"], dtype=torch.float64)[:, None] * (
            10000.0 ** (-torch.arange(half, dtype=torch.float64) / half))[None]
        self.cos, self.sin = angle.cos().float(), angle.sin().float()

    def cache(self):
        shape = (1, self.size["kv"], self.size["context"], self.size["h"] // HEADS)
        return [(torch.zeros(shape), torch.zeros(shape)) for _ in self.blocks]

    def forward(self, ids, targets=None, cache=None, at=0, last=False):
        count = ids.shape[1]
        x = self.drop(self.tok(ids) + self.pos.weight[at:at + count])
        cos, sin = self.cos[at:at + count], self.sin[at:at + count]
        for number, block in enumerate(self.blocks):
            x = block(x, cos, sin, cache[number] if cache else None, at)
        x = self.norm(x[:, -1:] if last else x)
        logits = F.linear(x, self.tok.weight)
        if targets is None:
            return logits
        loss = F.cross_entropy(logits.view(-1, self.vocab), targets.reshape(-1))
        if self.size["experts"]:
            loss = loss + 0.01 * sum(b.ff.balance for b in self.blocks) / len(self.blocks)
        return loss


def train(model, steps):
    flat = [p for p in model.parameters() if p.dim() < 2]
    wide = [p for p in model.parameters() if p.dim() >= 2]
    optimiser = torch.optim.AdamW([dict(params=wide, weight_decay=0.01), dict(params=flat, weight_decay=0.0)], lr=1e-4)
    ids = torch.randint(16, model.vocab, (8, 257))
    began = 0.0
    for step in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss = model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step == 0:
            began = time.monotonic()
    return dict(tok_s=(steps - 1) * 2048 / (time.monotonic() - began), loss=loss.item())


@torch.no_grad()
def decode(model, prompt, make):
    model.eval()
    ids = torch.randint(16, model.vocab, (1, prompt))
    model(ids, cache=model.cache(), last=True)
    reading = making = math.inf
    for _ in range(3):
        began = time.monotonic()
        cache = model.cache()
        logits = model(ids, cache=cache, last=True)
        middle = time.monotonic()
        for at in range(prompt, prompt + make):
            share = F.softmax(logits[0, -1] / 0.8, -1)
            token = torch.multinomial(share, 1)[None]
            logits = model(token, cache=cache, at=at, last=True)
        reading, making = min(reading, middle - began), min(making, time.monotonic() - middle)
    return dict(prompt_tok_s=prompt / reading, decode_tok_s=make / making)


def read_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + size])
    found = {}
    for name, entry in head.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            part = torch.frombuffer(bytearray(raw[8 + size + begin:8 + size + end]), dtype=torch.float32)
            found[name] = part.view(entry["shape"])
    return found


@torch.no_grad()
def logits_of(folder, ids):
    config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    model = Model(SIZES[config["model_type"]], config["vocab_size"]).eval()
    model.load_state_dict(read_safetensors(pathlib.Path(folder) / "model.safetensors"))
    used = config.get("vocab_used", config["vocab_size"])
    return model(torch.tensor([ids]), last=True)[0, -1, :used].tolist()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("what", choices=["train", "decode", "logits"])
    options.add_argument("model")
    options.add_argument("--vocab", type=int, default=30000)
    options.add_argument("--steps", type=int, default=4)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--prompt", type=int, default=128)
    options.add_argument("--make", type=int, default=64)
    options.add_argument("--ids", default="")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(7)
    if given.what == "logits":
        print(json.dumps(logits_of(given.model, [int(part) for part in given.ids.split(",")])))
        return
    model = Model(SIZES[given.model], given.vocab)
    figures = train(model, given.steps) if given.what == "train" else decode(model, given.prompt, given.make)
    print(json.dumps(dict(what=given.what, model=given.model, vocab=given.vocab, threads=given.threads, **figures,
                          peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                          parameters=sum(p.numel() for p in model.parameters()), torch=torch.__version__)))


if __name__ == "__main__":
    main()
