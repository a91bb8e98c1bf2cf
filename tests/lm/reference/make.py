#!/usr/bin/env python3
"""Reference numbers of the language models, from a plain model of them in PyTorch on a CPU.

    tests/lm/reference/make.py MODEL.py     writes *.txt beside this file

MODEL.py has the classes Cfg and LM and the table CFGS of the three sizes.  Run by hand when a case is added; `make test` reads the files and needs no PyTorch.  Weights are not
stored: both sides make them from a hash of tensor and element (`fill`), exactly.

A file is words: `config` (hidden layers heads kv_heads ffn experts top_k domains context vocab
vocab_used post batch length tied_routers), `ids`, `targets` (below 0: not scored), `loss` (mean nats),
`aux` (weighted), `logit ROW POSITION ID VALUE`, and per tensor `tensor NAME ROWS COLUMNS L2 SUM COUNT`
with COUNT pairs of element and gradient.  The *_steps files have `step LOSS NORM` instead.
"""
import dataclasses
import importlib
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))


def mix(x):
    """32 bits to 32 bits; the C side has the same."""
    x = x.astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def unit(tensor, count):
    """count values in [-1, 1), each a whole number of 2^-23."""
    start = mix(np.array([tensor + 1], dtype=np.uint32))[0]
    bits = mix(np.arange(count, dtype=np.uint32) + start)
    return ((bits >> np.uint32(8)).astype(np.float64) - 2.0**23) / 2.0**23


def fill(index, name, shape, tied_routers):
    u = unit(index, int(np.prod(shape)))
    if name.endswith(('ln1.weight', 'ln2.weight', 'norm.weight')):
        u = 1 + u / 4
    elif name.endswith('blend'):
        u = u / 2
    elif name.endswith('router.weight'):
        u = u / 8
    elif name.endswith(('wo.weight', 'w2.weight')):
        u = u / 32
    else:
        u = u / 16
    w = torch.from_numpy(u.astype(np.float32)).view(shape)
    if tied_routers and name.endswith('router.weight'):
        w[:] = w[0].clone()
    return w


def integers(tensor, count, bound):
    start = mix(np.array([tensor + 1], dtype=np.uint32))[0]
    return (mix(np.arange(count, dtype=np.uint32) + start) % np.uint32(bound)).astype(np.int64)


def filled(oracle, cfg, tied_routers=False):
    model = oracle.LM(cfg).eval()
    params = dict(model.named_parameters())
    names = list(model.state_dict())
    with torch.no_grad():
        for index, n in enumerate(names):
            params[n].copy_(fill(index, n, params[n].shape, tied_routers))
    return model, names, params


def texts(rows, used):
    ids = integers(1000, rows, used)
    targets = integers(1001, rows, used)
    targets[4::5] = -100
    return ids, targets


def run(model, cfg, used, batch, ids, targets):
    logits = model(torch.from_numpy(ids).view(batch, -1))[..., :used]
    loss = F.cross_entropy(logits.reshape(-1, used), torch.from_numpy(targets))
    aux = cfg.aux * sum(b.ff.aux for b in model.blocks) / cfg.L if cfg.E else torch.zeros(())
    return logits, loss, aux


def print_config(cfg, used, batch, length, tied_routers, ids, targets, out):
    f = cfg.fe if cfg.E else cfg.ffn
    print('config', cfg.h, cfg.L, cfg.heads, cfg.kv, f, cfg.E, cfg.top_k, cfg.domains, cfg.ctx, cfg.V, used,
          int(cfg.norm == 'post'), batch, length, int(tied_routers), file=out)
    print('ids', *ids, file=out)
    print('targets', *targets, file=out)


def write_steps(oracle, name, cfg, used, batch, length, steps=10):
    """Loss (with aux) before each of `steps` steps on the same batch: clip 1, AdamW, rate 0.01, decay 0.01."""
    model, _, _ = filled(oracle, cfg)
    ids, targets = texts(batch * length, used)
    optimizer = oracle.optimizer(model, lr=0.01, wd=0.01)
    with open(os.path.join(HERE, name + '.txt'), 'w') as out:
        print_config(cfg, used, batch, length, False, ids, targets, out)
        for _ in range(steps):
            optimizer.zero_grad()
            _, loss, aux = run(model, cfg, used, batch, ids, targets)
            (loss + aux).backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            print('step %.9g %.9g' % ((loss + aux).item(), norm.item()), file=out)
            print(name, (loss + aux).item(), norm.item())


def write(oracle, name, cfg, used, batch, length, tied_routers=False, samples=24):
    model, names, params = filled(oracle, cfg, tied_routers)
    rows = batch * length
    ids, targets = texts(rows, used)
    logits, loss, aux = run(model, cfg, used, batch, ids, targets)
    (loss + aux).backward()
    if tied_routers:  # or the ties are none
        x = model.blocks[0].ff.router(torch.randn(7, cfg.h))
        assert (x == x[:, :1]).all()
    with open(os.path.join(HERE, name + '.txt'), 'w') as out:
        print_config(cfg, used, batch, length, tied_routers, ids, targets, out)
        print('loss %.9g' % loss.item(), file=out)
        print('aux %.9g' % aux.item(), file=out)
        places = integers(1002, 60, rows)
        columns = integers(1003, 60, used)
        for place, column in zip(places, columns):
            r, t = divmod(int(place), length)
            print('logit %d %d %d %.9g' % (r, t, column, logits[r, t, column].item()), file=out)
        for index, n in enumerate(names):
            grad = params[n].grad  # none: an expert that no token went to
            g = (torch.zeros_like(params[n]) if grad is None else grad).detach().double().flatten().numpy()
            where = integers(2000 + index, min(samples, g.size), g.size)
            if n == 'tok.weight':  # rows that occur, going in
                where[::2] = ids[where[::2] % rows] * cfg.h + where[::2] % cfg.h
            if n == 'pos.weight':  # positions that occur
                where = where % (length * cfg.h)
            shape = list(params[n].shape) + [0]
            print('tensor', n, shape[0], shape[1], '%.9g %.9g' % (np.sqrt((g * g).sum()), g.sum()), len(where),
                  file=out)
            print(*('%d %.9g' % (w, g[w]) for w in where), file=out)
    print(name, sum(p.numel() for p in model.parameters()), loss.item(), aux.item())


def main():
    folder, module = os.path.split(os.path.abspath(sys.argv[1]))
    sys.path.insert(0, folder)
    oracle = importlib.import_module(os.path.splitext(module)[0])
    torch.set_num_threads(1)
    for cfg in oracle.CFGS.values():
        write(oracle, cfg.name, cfg, cfg.V, 1, 24, samples=12)
        # The same widths, heads and experts, but few layers, ids and positions: for the quick tests.
        short = dataclasses.replace(cfg, L=2, V=1000, ctx=64)
        write(oracle, cfg.name + '_short', short, 997, 1, 24, samples=12)
    # Expert width is round(2 ffn k / (3 E)).
    toy = dict(h=36, L=2, kv=2, ctx=40, heads=4, V=70)  # heads of 9
    write_steps(oracle, 'toy_steps', oracle.Cfg('toy', ffn=60, E=5, **toy), 61, 2, 7)
    write(oracle, 'toy_dense', oracle.Cfg('toy', ffn=50, E=0, **toy), 61, 2, 7)
    write(oracle, 'toy_post', oracle.Cfg('toy', ffn=50, E=0, norm='post', **toy), 61, 2, 7)
    write(oracle, 'toy_moe', oracle.Cfg('toy', ffn=60, E=5, **toy), 61, 2, 7)
    write(oracle, 'toy_moe_post', oracle.Cfg('toy', ffn=60, E=5, norm='post', **toy), 61, 2, 7)
    write(oracle, 'toy_ties', oracle.Cfg('toy', ffn=96, E=8, **toy), 61, 2, 7, tied_routers=True)
    long = dict(h=24, L=2, kv=1, ctx=300, heads=2, V=50)  # texts longer than a block of queries
    write(oracle, 'toy_long', oracle.Cfg('toy', ffn=30, E=4, **long), 50, 3, 290)


main()
