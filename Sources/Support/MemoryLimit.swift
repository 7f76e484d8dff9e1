// A limit on this process's memory. Libraries and the Swift runtime do not say that it is reached: they abort, trap or
// follow a null pointer.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a process does about a limit on its memory: `ulimit -v` or `-d`, often the batch system's.
public enum MemoryLimit {
  /// Whether there is such a limit.
  public static let isSet = addresses != nil || data != nil

  /// Bytes that the limits leave to this process now; nil without a limit.
  public static var availableBytes: Int? {
    // In pages: all addresses first, data and stack sixth.
    let pages = (systemFileLines("/proc/self/statm").first ?? "").split(separator: " ").compactMap { Int($0) }
    guard pages.count > 5 else { return nil }
    let left = [addresses.map { $0 - pages[0] * pageBytes }, data.map { $0 - pages[5] * pageBytes }]
    return left.compactMap { $0 }.min().map { max(0, $0) }
  }

  private static let pageBytes = Int(getpagesize())
  #if canImport(Glibc)
    private static let addresses = limit(__rlimit_resource_t(RLIMIT_AS.rawValue))
    private static let data = limit(__rlimit_resource_t(RLIMIT_DATA.rawValue))
    private static func limit(_ resource: __rlimit_resource_t) -> Int? { softLimit { getrlimit(resource, &$0) } }
  #else
    private static let addresses = softLimit { getrlimit(RLIMIT_AS, &$0) }
    private static let data = softLimit { getrlimit(RLIMIT_DATA, &$0) }
  #endif

  /// Nil for "unlimited", a number that is larger than any address.
  private static func softLimit(_ read: (inout rlimit) -> Int32) -> Int? {
    var limit = rlimit()
    guard read(&limit) == 0, limit.rlim_cur < 1 << 62 else { return nil }
    return Int(limit.rlim_cur)
  }

  /// Bytes that buffers leave under the limit to what cannot do without: libraries, stacks, objects of the heap.
  public static let reserve = 64 << 20

  /// Whether the system would not give the reserve any more. Costs two calls of the system where there is a limit.
  public static var isNear: Bool { isSet && !hasRoom(for: reserve) }

  /// Prepares this process for its limit, if it has one: from now on a crash while the limit is near is one line and
  /// status 70. Other crashes stay what they were. The job's other ranks are ended by the launcher, as after every status
  /// but 0: nothing can be sent in the state a crash leaves.
  ///
  /// Called once, before MPI, which has handlers of its own, and any other thread starts.
  public static func prepare() {
    guard isSet else { return }
    shareOneHeap()
    _ = previous
    for number in signals {
      var action = sigaction()
      // What the processor finds has a code above 0; what a process or the C library sends has not.
      #if canImport(Glibc)
        action.__sigaction_handler.sa_sigaction = { number, cause, _ in
          MemoryLimit.crashed(number, isSent: (cause?.pointee.si_code ?? 0) <= 0)
        }
      #else
        action.__sigaction_u.__sa_sigaction = { number, cause, _ in
          MemoryLimit.crashed(number, isSent: (cause?.pointee.si_code ?? 0) <= 0)
        }
      #endif
      // The stack may be what is at its end.
      action.sa_flags = Int32(SA_ONSTACK | SA_SIGINFO)
      sigaction(number, &action, nil)
    }
  }

  /// A heap for each thread would take the whole reserve: 64 MB of addresses, however little is in it.
  private static func shareOneHeap() {
    #if canImport(Glibc)
      // Of <malloc.h>, which Swift does not import: M_ARENA_MAX.
      let mostHeaps: Int32 = -8
      let mallopt = dlsym(nil, "mallopt").map { unsafeBitCast($0, to: (@convention(c) (Int32, Int32) -> Int32).self) }
      _ = mallopt?(mostHeaps, 1)
    #endif
  }

  private static let signals = [SIGABRT, SIGBUS, SIGILL, SIGSEGV, SIGTRAP]

  /// What handled the signals before, such as the Swift runtime's backtraces. Written once, before the handlers are set.
  private static let previous: [sigaction] = signals.map { number in
    var action = sigaction()
    sigaction(number, nil, &action)
    return action
  }

  /// Asks by taking and returning it.
  private static func hasRoom(for bytes: Int) -> Bool {
    let taken = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let taken, taken != MAP_FAILED else { return false }
    munmap(taken, bytes)
    return true
  }

  /// Runs in the middle of a crash: takes no memory, no lock, and calls the system only.
  private static func crashed(_ number: Int32, isSent: Bool) {
    // Twice, as another thread may have held the reserve for a moment, to ask for it.
    if !hasRoom(for: 2 * reserve) {
      let line: StaticString = """
        apus: less than 128 MB are left under this process's memory limit, and a library cannot go on; take smaller crops \
        or batches, fewer threads or ranks a host, or raise the limit (ulimit -v, the scheduler's)\n
        """
      _ = line.withUTF8Buffer { write(STDERR_FILENO, $0.baseAddress, $0.count) }
      _exit(ExitStatus.internal.rawValue)
    }
    for index in signals.indices where signals[index] == number {
      var action = previous[index]
      sigaction(number, &action, nil)
    }
    // A fault comes again when this returns; what was sent does not, and is delivered then.
    if isSent { raise(number) }
  }
}
