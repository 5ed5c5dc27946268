"""The Python side of `heddle bench`: asyncio_peer.py create|memory '{"n": 10000}' → one JSON object."""

import asyncio
import gc
import json
import os
import sys
import time


def page_tables():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmPTE:"):
                return int(line.split()[1]) * 1024
    return 0


def resident_bytes():
    """RSS plus page tables, as the other peers count it."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") + page_tables()


async def create(n):
    """Milliseconds until all n tasks have run their first instruction."""
    started = 0
    everyone = asyncio.Event()

    async def body():
        nonlocal started
        started += 1
        if started == n:
            everyone.set()

    begin = time.perf_counter()
    tasks = [asyncio.create_task(body()) for _ in range(n)]
    await everyone.wait()
    ms = (time.perf_counter() - begin) * 1e3
    await asyncio.gather(*tasks)
    return {"ms": ms}


async def memory(n):
    """Resident bytes of n tasks that all wait for one event."""
    gc.collect()
    before, tables_before = resident_bytes(), page_tables()
    begin = time.perf_counter()
    release = asyncio.Event()
    started = 0

    async def body():
        nonlocal started
        started += 1
        await release.wait()

    tasks = [asyncio.create_task(body()) for _ in range(n)]
    while started != n:
        await asyncio.sleep(0)
    start_ms = (time.perf_counter() - begin) * 1e3
    peak, tables = resident_bytes(), page_tables()
    release.set()
    await asyncio.gather(*tasks)
    del tasks
    gc.collect()
    return {
        "bytesPerUnit": (peak - before) / n,
        "rssStart": before,
        "rssPeak": peak,
        "rssAfter": resident_bytes(),
        "startMs": start_ms,
        "components": {"pageTables": tables - tables_before},
    }


def main():
    benchmarks = {"create": create, "memory": memory}
    if len(sys.argv) != 3 or sys.argv[1] not in benchmarks:
        sys.exit(f"expected create or memory and a JSON object, got {sys.argv[1:]}")
    params = json.loads(sys.argv[2])
    print(json.dumps(asyncio.run(benchmarks[sys.argv[1]](params["n"]))))


main()
