// What a checkpoint holds, as plain values.
