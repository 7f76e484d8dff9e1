// Text from outside as it is shown.

import Support
import Testing

@Suite struct ShownTests {
  @Test func controlCharactersAreSeenAndNotObeyed() {
    #expect(shown("road") == "road")
    #expect(shown("Straße, 道路, a b") == "Straße, 道路, a b")
    #expect(shown("\u{1b}[31mred\u{7}") == "\\u{1b}[31mred\\u{7}")
    #expect(shown("a\nb\tc\rd\u{7f}\u{9b}") == "a\\nb\\tc\\rd\\u{7f}\\u{9b}")
    #expect(shown("a\r\nb") == "a\\r\\nb")
    #expect(shown("a\nb\u{202e}c", keepsLines: true) == "a\nb\\u{202e}c")
  }

  @Test func aFailureIsOneLineThatATerminalDoesNotObey() {
    let failure = Failure(.badData, "label \u{1b}]0;x\u{7} is\nbad", at: "a\u{1b}[2J\u{202e}.png", remedy: "mend it")
    #expect(
      failure.description == "a\\u{1b}[2J\\u{202e}.png: label \\u{1b}]0;x\\u{7} is bad; mend it")
  }
}
