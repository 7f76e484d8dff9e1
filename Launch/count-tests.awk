# Swift Testing's event stream (JSON lines) to one line per test: passed, failed, skipped or unfinished, a tab, the name
# and the reason. A test without an end was running, or still to come, when the process died.

# The value of a string-valued key on this line, still escaped.
function value(key) {
  if (!match($0, "\"" key "\":\"([^\"\\\\]|\\\\.)*\"")) return ""
  return substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 5)
}

function plain(text) {
  gsub(/\\"/, "\"", text)
  gsub(/\\\//, "/", text)
  return text
}

# Suites have events too; only functions count.
index($0, "\"kind\":\"function\"") { names[value("id")] = plain(value("name")) }

index($0, "\"kind\":\"testSkipped\"") || index($0, "\"kind\":\"testEnded\"") {
  id = value("testID")
  if (!(id in names) || id in ended) next
  ended[id] = 1
  symbol = value("symbol")
  text = plain(value("text"))
  sub(/^Test /, "", text)
  if (symbol == "skip") print "skipped\t" text
  else if (symbol == "pass" || symbol == "passWithKnownIssue") print "passed\t" text
  else print "failed\t" text
}

END {
  for (id in names) if (!(id in ended)) print "unfinished\t" names[id]
}
