"""Everything that the other checks look at, in one pass over tokens and records that ends at the first thing that is not as it
should be. Says only that there is one: which, the other checks find out. `native` makes machine code of it.

`tables` fills its tables, `agreement` calls it.
"""

from __future__ import annotations

from .native import F64, I32, I64, U8, U16, poke

# How the pass ends: something is not as it should be; more records are needed; memory is needed for the pages of the bytes
# from NEEDED_FIRST to NEEDED_LAST; the keys at the positions from NEEDED_FIRST on are needed; the invocation has ended, and all
# records so far belong to it.
DIFFERS, MORE, PAGES, KEYS, ENDED = range(5)

# Of a token. VALUE, SHIFT, WRAPS: it adds (VALUE << SHIFT) + (WRAPS << 32) to its step's value. BEHIND: what must stand right
# before it, 0 for most, as the LEADS of that one. DIGIT_PLACE: 1 + its place, 0 for what is no digit. LEADS: what it is to the
# next token; -(1 + p): digit p has to be next. ENDS: its step (1), and the invocation (2). ALONE: it can be all of a step that
# computes.
KIND, VALUE, SHIFT, IP_DELTA, FRAME_DELTA, BEHIND, DIGIT_PLACE, LEADS, ENDS, WRAPS, ALONE = range(11)
TOKEN_WIDTH = 16

# Of a step. WANTED: the kind of its last token. MOVES: what the frame moves by when it jumps. TARGET: where a jump goes, -1 if
# that is not fixed. SOURCE, DEST: the slots where it copies from and writes to. The rest as in `steps.StepTable`.
(GROUP, SITE, FLAGS, WANTED, TARGET, MOVES, TAKEN, WIDTH, TRAP_KIND, SOURCE_KIND, SOURCE, DEST_KIND, DEST, FIRST_CASE, CASE_COUNT,
 FUNCTION_AT) = range(16)  # fmt: skip
STEP_WIDTH = 16
VALUED_FLAG, STORED_FLAG, BULK_FLAG, REFERENCE_FLAG = 1, 2, 4, 8
HIDDEN_FLAG, GROWS_FLAG, RESULT_FLAG, INTERNAL_FLAG = 16, 32, 64, 128
# It does nothing but compute a value that is recorded, and write it to a slot.
PLAIN_FLAG = 256
NO_SLOT, CONST_SLOT, FIXED_SLOT, FRAME_SLOT = range(4)

# Of the state. IP: the row. SECOND: whether the branch of a row with two steps has been seen, which was not taken. LAST: the
# step that was looked at last.
(AT, IP, FRAME, DEPTH, RECORD, STEPS, USER, USER_STEP, SINCE, RESULTS, BULKS, NEEDED_FIRST, NEEDED_LAST, COMPARED, TOKENS,
 RECORDS, PROGRAM, FIXED, SLOTS, STACK, PATIENCE, MOST_RESULTS, HIDDEN_BYTES, FIRST_PAGE, HAS_KEYS,
 OUTPUT, FIRST_KEY, KEYS_END, CALL, SECOND, LAST) = range(31)  # fmt: skip
STATE_WIDTH = 32
STACK_WIDTH, RESULT_WIDTH, BULK_WIDTH = 4, 4, 3

# Kinds and groups as in `format.tokens` and `steps`, which `tables` asserts.
K_DIGIT, K_NEXT, K_JUMP, K_TRAP = 1, 3, 4, 8
G_STORE, G_BRANCH, G_BR_TABLE, G_CALL, G_CALL_INDIRECT, G_RETURN, G_TRAP, G_TAIL_INDIRECT = 1, 3, 4, 5, 6, 7, 11, 12
# References as in `oracle.observed` and `format.references`.
R_REFERENCE, R_OBJECT, R_HOST, R_OUTSIDE, R_NUMBER = 1, 2, 3, 2**30, 2**31
LOW, PAGE_BITS, PAGE_MASK = 2**32 - 1, 16, 2**16 - 1


def follow(
    state: I64, tokens: U16, keys: F64, records: I64, token_rows: I32, step_rows: I32, firsts: I32, constants: I64, bases: I64,
    cases: I64, answered: U8, counts: I64, visited: U8, slots: I64, known: U8, stack: I64, pages: I64, results: I64, bulks: I64,
) -> int:  # fmt: skip
    """From where the state says, as far as the records go. known: the number of the call that has written the slot last.
    Returns how it ended; all but DIFFERS can be gone on from."""
    i = state[AT]
    ip = state[IP]
    frame = state[FRAME]
    depth = state[DEPTH]
    record = state[RECORD]
    step = state[STEPS]
    user = state[USER]
    user_step = state[USER_STEP]
    since = state[SINCE]
    result = state[RESULTS]
    bulk = state[BULKS]
    compared = state[COMPARED]
    count = state[TOKENS]
    available = state[RECORDS]
    fixed = state[FIXED]
    call = state[CALL]
    second = state[SECOND]
    rows = state[PROGRAM]
    size = state[SLOTS]
    patience = state[PATIENCE]
    index = 0
    status = DIFFERS
    while True:
        if ip < 0 or ip >= rows:
            return DIFFERS
        # Records for which no step answers.
        while record < available and not answered[records[2 * record] & LOW]:
            site = records[2 * record] & LOW
            counts[site] = counts[site] + 1
            since = since + 1
            if since > patience:
                return DIFFERS
            record = record + 1
        # Most steps by far, in fewer words: what follows says the same of them.
        if i < count and record < available and token_rows[tokens[i] * TOKEN_WIDTH + ALONE]:
            index = firsts[ip] + second
            at = index * STEP_WIDTH
            site = records[2 * record] & LOW
            if step_rows[at + FLAGS] & PLAIN_FLAG and site == step_rows[at + SITE]:
                row = tokens[i] * TOKEN_WIDTH
                value = token_rows[row + VALUE] + (token_rows[row + WRAPS] << 32)
                slot = step_rows[at + DEST]
                if step_rows[at + DEST_KIND] == FRAME_SLOT:
                    slot = slot + frame + fixed
                    if slot < fixed or slot >= size:
                        return DIFFERS
                if value != records[2 * record + 1]:
                    return DIFFERS
                slots[slot] = value
                known[slot] = call
                counts[site] = counts[site] + 1
                compared = compared + 1
                since = 0
                record = record + 1
                visited[index] = 1
                user = index
                user_step = step
                step = step + 1
                second = 0
                i = i + 1
                ip = ip + token_rows[row + IP_DELTA]
                frame = frame + token_rows[row + FRAME_DELTA]
                continue
        # The tokens of one step.
        first = i
        next_ip = ip
        next_frame = frame
        value = 0
        leads = 0
        ends = 0
        row = 0
        while ends == 0:
            if i >= count:
                return DIFFERS
            row = tokens[i] * TOKEN_WIDTH
            if leads < 0:
                if token_rows[row + DIGIT_PLACE] != -leads:
                    return DIFFERS
            elif token_rows[row + BEHIND] != leads:
                return DIFFERS
            leads = token_rows[row + LEADS]
            value = value + (token_rows[row + VALUE] << token_rows[row + SHIFT]) + (token_rows[row + WRAPS] << 32)
            next_ip = next_ip + token_rows[row + IP_DELTA]
            next_frame = next_frame + token_rows[row + FRAME_DELTA]
            ends = token_rows[row + ENDS]
            i = i + 1
        kind = token_rows[row + KIND]
        index = firsts[ip]
        # Of two steps in one row the first is a branch, which says nothing where it is not taken.
        silent = 0
        if firsts[ip + 1] - index == 2 and kind != K_JUMP:
            if second == 0:
                silent = 1
                kind = K_NEXT
                value = 0
                ends = 1
            else:
                index = index + 1
        at = index * STEP_WIDTH
        group = step_rows[at + GROUP]
        flags = step_rows[at + FLAGS]
        # It ends as its operation does.
        if kind != step_rows[at + WANTED] and kind != K_TRAP and not (group == G_BRANCH and kind == K_NEXT):
            return DIFFERS
        if group == G_TRAP and value != step_rows[at + TRAP_KIND]:
            return DIFFERS
        # A jump goes where the program says.
        called = -1  # the step of the bulk instruction from whose routine it returns
        if kind == K_JUMP:
            if group == G_RETURN:
                if depth == 0:
                    return DIFFERS
                top = (depth - 1) * STACK_WIDTH
                if next_ip != stack[top] + 1 or next_frame != stack[top + 1]:
                    return DIFFERS
                if step_rows[stack[top + 3] * STEP_WIDTH + FLAGS] & BULK_FLAG:
                    called = stack[top + 3]
            elif next_frame - frame != step_rows[at + MOVES] or (
                step_rows[at + TARGET] >= 0 and next_ip != step_rows[at + TARGET]
            ):
                return DIFFERS
        # A store has all its bytes, at addresses one behind the other.
        address = 0
        page = 0
        last_page = 0
        if group == G_STORE and kind == K_DIGIT:
            width = step_rows[at + WIDTH]
            if state[HAS_KEYS] == 0 or i - first != width or token_rows[tokens[first] * TOKEN_WIDTH + DIGIT_PLACE] != width:
                return DIFFERS
            if first - 1 < state[FIRST_KEY] or i - 1 > state[KEYS_END]:
                state[NEEDED_FIRST] = first - 1
                i = first
                status = KEYS
                break
            last_key = i - 2 - state[FIRST_KEY]
            address = keys[last_key]
            k = 1
            while k < width:
                if keys[last_key - k] - k != address:
                    return DIFFERS
                k = k + 1
            if address < -state[HIDDEN_BYTES] or address + width - 1 > LOW:
                return DIFFERS
            page = pages[(address >> PAGE_BITS) - state[FIRST_PAGE]]
            last_page = pages[((address + width - 1) >> PAGE_BITS) - state[FIRST_PAGE]]
            if page == 0 or last_page == 0:
                state[NEEDED_FIRST] = address
                state[NEEDED_LAST] = address + width - 1
                i = first
                status = PAGES
                break
        # The record of what it answers for.
        event = -1
        if step_rows[at + SITE] >= 0 and kind != K_TRAP and not flags & BULK_FLAG:
            event = index
        if called >= 0:
            if event >= 0:
                return DIFFERS
            event = called
        if event >= 0:
            if record == available:
                i = first
                status = MORE
                break
            site = records[2 * record] & LOW
            recorded = records[2 * record + 1]
            argument = (records[2 * record] >> 32) & LOW
            row = event * STEP_WIDTH
            if site != step_rows[row + SITE]:
                return DIFFERS
            if kind == K_DIGIT and flags & VALUED_FLAG:
                if flags & REFERENCE_FLAG:
                    seen = value
                    if value > 0 and value < R_OUTSIDE:
                        seen = R_OBJECT
                    elif value >= R_OUTSIDE and value < R_NUMBER:
                        seen = R_HOST
                    if recorded == R_REFERENCE:
                        if value == 0:
                            return DIFFERS
                    elif seen != recorded:
                        return DIFFERS
                elif value != recorded:
                    return DIFFERS
                if flags & GROWS_FLAG and (recorded == LOW or recorded == -1):
                    return DIFFERS
                if flags & STORED_FLAG and state[HAS_KEYS]:
                    place = argument + bases[index]
                    if flags & HIDDEN_FLAG:
                        place = 4 * argument + bases[index]
                    if place != address:
                        return DIFFERS
            if group == G_BRANCH:
                if ((kind == K_JUMP) == (step_rows[at + TAKEN] == 1)) != recorded:
                    return DIFFERS
            elif group == G_BR_TABLE:
                case = recorded
                if case < 0 or case >= step_rows[at + CASE_COUNT]:
                    case = step_rows[at + CASE_COUNT] - 1
                if case < 0 or next_ip != cases[step_rows[at + FIRST_CASE] + case]:
                    return DIFFERS
            elif group == G_CALL_INDIRECT or group == G_TAIL_INDIRECT:  # noqa: SIM109 (tuples are not translated)
                if next_ip < 0 or next_ip >= rows:
                    return DIFFERS
                callee = step_rows[firsts[next_ip] * STEP_WIDTH + FUNCTION_AT]
                if callee >= 0 and callee != recorded:
                    return DIFFERS
            if called >= 0:
                bulks[bulk * BULK_WIDTH] = stack[(depth - 1) * STACK_WIDTH + 2]
                bulks[bulk * BULK_WIDTH + 1] = step
                bulks[bulk * BULK_WIDTH + 2] = argument
                bulk = bulk + 1
            counts[site] = counts[site] + 1
            compared = compared + 1
            since = 0
            record = record + 1
        # All is as it should be: what it changes.
        if kind == K_JUMP:
            if group == G_RETURN:
                depth = depth - 1
            elif group == G_CALL or group == G_CALL_INDIRECT:  # noqa: SIM109 (tuples are not translated)
                if depth == state[STACK]:
                    return DIFFERS
                stack[depth * STACK_WIDTH] = ip
                stack[depth * STACK_WIDTH + 1] = frame
                stack[depth * STACK_WIDTH + 2] = step
                stack[depth * STACK_WIDTH + 3] = index
                depth = depth + 1
        elif kind == K_DIGIT:
            if step_rows[at + SOURCE_KIND] == CONST_SLOT:
                if constants[index] != value:
                    return DIFFERS
            elif step_rows[at + SOURCE_KIND] != NO_SLOT:
                slot = step_rows[at + SOURCE]
                if step_rows[at + SOURCE_KIND] == FRAME_SLOT:
                    slot = slot + frame + fixed
                    if slot < fixed or slot >= size:
                        return DIFFERS
                if known[slot] == call and slots[slot] != value:
                    return DIFFERS
            if step_rows[at + DEST_KIND] != NO_SLOT:
                slot = step_rows[at + DEST]
                if step_rows[at + DEST_KIND] == FRAME_SLOT:
                    slot = slot + frame + fixed
                    if slot < fixed or slot >= size:
                        return DIFFERS
                slots[slot] = value
                known[slot] = call
            if group == G_STORE:
                k = 0
                while k < step_rows[at + WIDTH]:
                    place = address + k
                    if (place >> PAGE_BITS) == (address >> PAGE_BITS):
                        poke(page + (place & PAGE_MASK), value >> (8 * k))
                    else:
                        poke(last_page + (place & PAGE_MASK), value >> (8 * k))
                    k = k + 1
            if flags & RESULT_FLAG:
                if result == state[MOST_RESULTS]:
                    return DIFFERS
                results[result * RESULT_WIDTH] = step
                results[result * RESULT_WIDTH + 1] = index
                results[result * RESULT_WIDTH + 2] = i - 1
                results[result * RESULT_WIDTH + 3] = value
                result = result + 1
        visited[index] = 1
        if not flags & INTERNAL_FLAG:
            user = index
            user_step = step
        step = step + 1
        if ends == 2:
            # Behind the last step, at its program address; what is left may only be records that nobody answers for.
            if i != count:
                return DIFFERS
            state[OUTPUT] = value
            status = ENDED
            break
        second = silent
        if silent:
            i = first
            continue
        ip = next_ip
        frame = next_frame
    state[AT] = i
    state[SECOND] = second
    state[LAST] = index
    state[IP] = ip
    state[FRAME] = frame
    state[DEPTH] = depth
    state[RECORD] = record
    state[STEPS] = step
    state[USER] = user
    state[USER_STEP] = user_step
    state[SINCE] = since
    state[RESULTS] = result
    state[BULKS] = bulk
    state[COMPARED] = compared
    return status
