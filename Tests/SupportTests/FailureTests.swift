// Failures as users see them: one line with place, reason and remedy; spellings that come near.

import Support
import Testing

@Suite struct FailureTests {
  @Test func textHasPlaceReasonAndRemedy() {
    let failure = Failure(.badData, "unknown key \"stepz\"", at: "recipe.yaml:3", remedy: "use steps")
    #expect("\(failure)" == "recipe.yaml:3: unknown key \"stepz\"; use steps")
    #expect("\(Failure(.internal, "no memory"))" == "no memory")
    #expect("\(Failure(.internal, "no memory", at: "rank 1"))" == "rank 1: no memory")
    #expect("\(Failure(.internal, "no memory", remedy: "buy some"))" == "no memory; buy some")
  }

  @Test(arguments: ["\n", "\r\n", "\r", "\n\n", "\u{2028}", "\u{0B}"]) func textIsOneLine(lineBreak: String) {
    let failure = Failure(
      .inputOutput, "first\(lineBreak)second", at: "a\(lineBreak)b", remedy: "try\(lineBreak)again\(lineBreak)")
    #expect("\(failure)" == "a b: first second; try again")
  }

  @Test func placesNest() {
    let failure = Failure(.missingInput, "no such file", at: "image.png", remedy: "check data.source")
    let outer = failure.within("step 12").within("rank 3")
    #expect(
      outer == Failure(.missingInput, "no such file", at: "rank 3: step 12: image.png", remedy: "check data.source"))
    #expect(Failure(.usage, "what").within("here").place == "here")
  }

  @Test func statusesAreThoseOfTheContract() {
    let statuses: [(Support.ExitStatus, Int32)] = [
      (.done, 0), (.checkFailed, 1), (.usage, 64), (.badData, 65), (.missingInput, 66), (.internal, 70),
      (.cannotCreate, 73), (.inputOutput, 74), (.stopped, 75),
    ]
    for (status, number) in statuses { #expect(status.rawValue == number) }
  }
}

@Suite struct SpellingTests {
  private static let keys = ["steps", "seed", "batch", "global", "cropShards", "encoder", "reduction"]

  @Test(arguments: [
    ("step", "steps"), ("sede", "seed"), ("glbal", "global"), ("cropshards", "cropShards"), ("Encodre", "encoder"),
    ("redukton", "reduction"), ("batch", "batch"),
  ])
  func nearMissesAreFound(word: String, expected: String) {
    #expect(nearestSpelling(to: word, among: SpellingTests.keys) == expected)
  }

  @Test(arguments: ["learning", "xyz", "", "b"]) func farWordsAreNot(word: String) {
    #expect(nearestSpelling(to: word, among: SpellingTests.keys) == nil)
  }

  @Test func nothingComesFromNothing() {
    #expect(nearestSpelling(to: "seed", among: [String]()) == nil)
  }

  @Test func neighboursExchangedAreOneEdit() {
    // "ab" for "ba" is one exchange; as two substitutions it would be too far for words of two letters.
    #expect(nearestSpelling(to: "ab", among: ["ba"]) == "ba")
    #expect(nearestSpelling(to: "ab", among: ["cd"]) == nil)
  }

  @Test func tiesGoToTheFirstInTheAlphabet() {
    #expect(nearestSpelling(to: "bat", among: ["hat", "cat", "mat"]) == "cat")
  }

  @Test func aThirdOfTheLongerWordMayDiffer() {
    #expect(nearestSpelling(to: "abcdefxyz", among: ["abcdefghi"]) == "abcdefghi")
    #expect(nearestSpelling(to: "abcdewxyz", among: ["abcdefghi"]) == nil)
  }
}
