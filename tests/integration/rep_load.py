"""The timing guest's test `rep` (tests/guests/timing/rep_load.asm): where its loop stands at each cycle, by how a CPU counts REP (docs/equivalence.md),
and a trace of it less what follows from that: what is left has to be the same on all machines.

Cycles are the guest's. `own` cycles are those of the loop alone: from its first instruction on, without the handler's.
"""
PORT, SIZE = 0x2E8, 4
BEGINS, ENDS = 1, 2
EOI_PORT = 0x20
BEHIND_BEGIN = 1  # STI: the clock of an OUT in a trace has the OUT in it
BEFORE_END = 3  # CLI, MOV, OUT
BEHIND_EOI = 6  # five POPs, IRET
SETUP, TAIL = 3, 2  # instructions of a round in front of REP and behind it
OPERATIONS = {"movsb": (1, True, True), "stosd": (4, False, True), "lodsw": (2, True, False), "cmpsq": (8, True, True), "scasb": (1, False, True)}


class Load:
    """The loop of `operation` with this count on a CPU which counts `look` cycles more for a REP that its count ends."""

    def __init__(self, symbols, operation, count, look):
        self.operand, reads, targets = OPERATIONS[operation]
        self.count = count
        by_flag = operation == "scasb"
        self.iterations = count // 2 + 1 if by_flag else count
        self.look = 0 if by_flag else look
        self.round = SETUP + self.iterations + self.look + TAIL
        self.source, self.target = symbols["rep_source"], symbols["rep_target"]
        self.step_source, self.step_target = reads * self.operand, targets * self.operand
        self.label = {name: symbols[f"rep_{operation}.{name}"] for name in ("source", "target", "count", "rep", "check", "loop")}

    def at(self, own):
        """RIP, RCX, RSI, RDI after so many cycles."""
        rounds, step = divmod(own, self.round)
        done = min(max(step - SETUP, 0), self.iterations)
        past = self.iterations if rounds else 0
        if step < SETUP:
            rip = self.label[("source", "target", "count")[step]]
        elif step < SETUP + self.iterations + self.look:
            rip = self.label["rep"]
        else:
            rip = self.label["check" if step == self.round - TAIL else "loop"]
        rcx = self.count - done if step >= SETUP else self.count - past if rounds else 0
        rsi = self.source + done * self.step_source if step >= 1 else self.source + past * self.step_source if rounds else 0
        rdi = self.target + done * self.step_target if step >= 2 else self.target + past * self.step_target if rounds else 0
        return rip, rcx, rsi, rdi

    def end(self, own):
        """When the loop is done, the last tick having come at `own`: with the round whose comparison comes behind it."""
        return ((own + 1) // self.round + 1) * self.round


def is_report(record):
    return record.event == "out" and record.arguments[:2] == (PORT, SIZE)


def places(records):
    """RCX as each tick found it, but for the last one, which is HLT's: the handler's second report."""
    return [records[i + 2].arguments[2] for i, r in enumerate(records) if r.event == "irq"][:-1]


def less_predicted(records, load):
    """The records, with the place of each tick and the end's clock less their predictions; these places also stand in the registers, up to the
    handler's EOI. Fails where a prediction is wrong."""
    left, wanted = [], []
    own = start = end = None
    for r in records:
        if end is not None:
            if r.event in ("wake", "irq"):
                end, start = None, None  # at a tick, as on every machine
            else:
                r = r._replace(cycles=r.cycles - end)
        elif is_report(r) and start is None and r.arguments[2] == BEGINS:
            start = r.cycles + BEHIND_BEGIN
        elif start is not None and r.event == "irq":
            own = r.cycles - start
            wanted = list(load.at(own))
            assert r.rip == wanted[0], f"{r}: should be at {wanted[0]:x}"
            r = r._replace(rip=0, registers="")
        elif start is not None and is_report(r) and wanted:
            value = wanted.pop(0)
            assert r.arguments[2] == value, f"{r}: should be {value:x}"
            r = r._replace(arguments=(PORT, SIZE, 0), registers="")
        elif start is not None and is_report(r):
            end = start + load.end(own) + BEFORE_END
            assert r.arguments[2] == ENDS and r.cycles == end, f"{r}: should be the end, at {end}"
            r = r._replace(cycles=0)
        elif start is not None and r.event == "out" and r.arguments[0] == EOI_PORT:
            start = r.cycles + BEHIND_EOI - own
        left.append(r)
    assert end is None and start is None, "no end"
    return left
