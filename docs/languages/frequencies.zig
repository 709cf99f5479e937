// The words of /notes/in.txt, the most frequent first.
const std = @import("std");

const Word = struct { text: []const u8, count: usize };

fn before(_: void, a: Word, b: Word) bool {
    if (a.count != b.count) return a.count > b.count;
    return std.mem.lessThan(u8, a.text, b.text);
}

pub fn main(init: std.process.Init) !void {
    const notes = init.preopens.get("/notes") orelse return error.NoFolder;
    const text = try notes.dir.readFileAlloc(init.io, "in.txt", init.gpa, .limited(1 << 16));
    defer init.gpa.free(text);
    var counts: std.StringHashMap(usize) = .init(init.gpa);
    defer counts.deinit();
    var words = std.mem.tokenizeAny(u8, text, " \n");
    while (words.next()) |word| {
        const entry = try counts.getOrPutValue(word, 0);
        entry.value_ptr.* += 1;
    }
    const sorted = try init.gpa.alloc(Word, counts.count());
    defer init.gpa.free(sorted);
    var entries = counts.iterator();
    for (sorted) |*word| {
        const entry = entries.next().?;
        word.* = .{ .text = entry.key_ptr.*, .count = entry.value_ptr.* };
    }
    std.mem.sort(Word, sorted, {}, before);
    var buffer: [256]u8 = undefined;
    var out = std.Io.File.stdout().writerStreaming(init.io, &buffer);
    for (sorted) |word| try out.interface.print("{d:3} {s}\n", .{ word.count, word.text });
    try out.interface.flush();
}
