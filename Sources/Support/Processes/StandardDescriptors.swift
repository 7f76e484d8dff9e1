// The descriptors 0, 1 and 2, which a program may be started without.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Opens the null device under each of the descriptors 0, 1 and 2 that is closed: the system would give it to the next
/// file that is opened, and what is printed would go there. Called before anything is opened.
public func occupyStandardDescriptors() {
  for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) == -1 {
    // The lowest free descriptor is given out first, and those below are open by now.
    guard open("/dev/null", O_RDWR) == descriptor else { _exit(ExitStatus.internal.rawValue) }
  }
}
