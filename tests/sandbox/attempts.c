#include "tests/sandbox/attempts.h"

#include "common/base/compiler.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define S(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
#define TRY(id, expression)        \
	static long try_##id(void) \
	{                          \
		return expression; \
	}

// clang-format off
static char buf[4096];
static struct timespec ts;

/* ---- files by path: the host's, and what lies in an own root ---- */
TRY(open_shadow, S(open, "/etc/shadow", O_RDONLY))
TRY(openat_shadow, S(openat, AT_FDCWD, "/etc/shadow", O_RDONLY))
TRY(openat_passwd_path, S(openat, AT_FDCWD, "/etc/passwd", O_PATH))
TRY(openat_hosts, S(openat, AT_FDCWD, "/etc/hosts", O_RDONLY))
TRY(openat_up, S(openat, AT_FDCWD, "../../../etc/shadow", O_RDONLY))
TRY(openat_proc_mem, S(openat, AT_FDCWD, "/proc/self/mem", O_RDWR))
TRY(openat_proc1_root, S(openat, AT_FDCWD, "/proc/1/root/etc/shadow", O_RDONLY))
TRY(openat_dev, S(openat, AT_FDCWD, "/dev/null", O_RDWR))
TRY(openat_root_dir, S(openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY))
TRY(openat_root_write, S(openat, AT_FDCWD, "/made", O_WRONLY | O_CREAT | O_EXCL, 0600))
TRY(openat_tmpfile, S(openat, AT_FDCWD, "/", O_TMPFILE | O_RDWR, 0600))
static long openat2_with(const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags};
	return S(openat2, AT_FDCWD, path, &how, sizeof how);
}
TRY(openat2_shadow, openat2_with("/etc/shadow", O_RDONLY))
TRY(openat2_root, openat2_with("/", O_RDONLY | O_DIRECTORY))
TRY(creat, S(creat, "/made", 0600))
TRY(stat_passwd, S(newfstatat, AT_FDCWD, "/etc/passwd", buf, 0))
TRY(fstat_control, S(newfstatat, 3, "", buf, AT_EMPTY_PATH))
TRY(statx_passwd, S(statx, AT_FDCWD, "/etc/passwd", 0, 0, buf))
TRY(access_passwd, S(access, "/etc/passwd", R_OK))
TRY(readlink_exe, S(readlink, "/proc/self/exe", buf, sizeof buf))
TRY(statfs, S(statfs, "/", buf))
TRY(getcwd, S(getcwd, buf, sizeof buf))
TRY(chdir, S(chdir, "/"))
TRY(fchdir, S(fchdir, 3))
TRY(chroot, S(chroot, "/"))
TRY(name_to_handle, S(name_to_handle_at, AT_FDCWD, "/", buf, buf + 512, 0))
TRY(open_by_handle, S(open_by_handle_at, 3, buf, O_RDONLY))
TRY(inotify, S(inotify_init1, 0))
TRY(fanotify, S(fanotify_init, 0, O_RDONLY))
TRY(truncate, S(truncate, "/f", 0L))
TRY(sync, S(sync))

/* ---- changes in an own root ("f" and "d" are there for apply's rows) ---- */
TRY(read_f, S(openat, AT_FDCWD, "/f", O_RDONLY | O_NOFOLLOW))
TRY(write_f, S(openat, AT_FDCWD, "/f", O_WRONLY | O_NOFOLLOW))
TRY(write_open_f, S(openat, AT_FDCWD, "/w", O_WRONLY | O_NOFOLLOW))
TRY(follow_link, S(openat, AT_FDCWD, "/link", O_RDONLY))
TRY(follow_absolute, S(openat, AT_FDCWD, "/out", O_RDONLY))
TRY(mkdir, S(mkdirat, AT_FDCWD, "/newdir", 0700))
TRY(mkfifo, S(mknodat, AT_FDCWD, "/fifo", S_IFIFO | 0600, 0))
TRY(mkwhiteout, S(mknodat, AT_FDCWD, "/white", S_IFCHR, 0))
TRY(mkchr, S(mknodat, AT_FDCWD, "/chr", S_IFCHR | 0600, 0x103))
TRY(mkblk, S(mknodat, AT_FDCWD, "/blk", S_IFBLK | 0600, 0xfe00))
TRY(mksock, S(mknodat, AT_FDCWD, "/sock", S_IFSOCK | 0600, 0))
TRY(symlink, S(symlinkat, "/etc/shadow", AT_FDCWD, "/sym"))
TRY(link, S(linkat, AT_FDCWD, "/f", AT_FDCWD, "/hard", 0))
TRY(link_fd, S(linkat, 3, "", AT_FDCWD, "/hard2", AT_EMPTY_PATH))
TRY(rename, S(renameat2, AT_FDCWD, "/f", AT_FDCWD, "/g", 0))
TRY(unlink_missing, S(unlinkat, AT_FDCWD, "/nothing", 0))
TRY(unlink_w, S(unlinkat, AT_FDCWD, "/w2", 0))
TRY(chmod_f, S(fchmodat, AT_FDCWD, "/f", 0644))
TRY(chown_f, S(fchownat, AT_FDCWD, "/f", 12, 34, 0))
TRY(utimes_f, S(utimensat, AT_FDCWD, "/f", NULL, 0))
TRY(setxattr_user, S(lsetxattr, "/f", "user.x", "y", 1, 0))
TRY(setxattr_trusted, S(lsetxattr, "/f", "trusted.overlay.opaque", "y", 1, 0))
TRY(setxattr_path, S(setxattr, "/f", "user.x", "y", 1, 0))
static int fset(const char *name)
{
	int fd = (int)S(openat, AT_FDCWD, "/f", O_RDONLY | O_NOFOLLOW);
	return fd < 0 ? -1 : (int)S(fsetxattr, fd, name, "y", 1, 0);
}
TRY(fsetxattr_user, fset("user.x"))
TRY(fsetxattr_trusted, fset("trusted.overlay.opaque"))
TRY(fsetxattr_security, fset("security.bulkhead"))
TRY(removexattr, S(removexattr, "/f", "user.x"))

/* ---- the store's parts, by its own descriptors ---- */
static int set_opaque(void)
{
	int fd = (int)S(openat, 4, TREE, O_RDONLY | O_DIRECTORY);
	return fd < 0 ? -1 : (int)S(fsetxattr, fd, "trusted.overlay.opaque", "y", 1, 0);
}
TRY(graph_self, S(openat, 4, ".", O_RDONLY | O_DIRECTORY))
TRY(graph_layers_make, S(openat, 4, "overlay-layers/made", O_WRONLY | O_CREAT | O_EXCL, 0600))
TRY(graph_stage, S(mkdirat, 4, "bulkhead/stage", 0700))
TRY(graph_commit, S(renameat2, 4, "bulkhead/stage", 4, "overlay/committed", 0))
TRY(graph_tree_read, S(openat, 4, TREE "/f", O_RDONLY))
TRY(graph_tree_exec, S(execveat, 4, TREE "/f", NULL, NULL, 0))
TRY(graph_follow, S(openat, 4, TREE "/link", O_RDONLY))
TRY(graph_opaque, set_opaque())
TRY(graph_fifo, S(mknodat, 4, "overlay/fifo", S_IFIFO, 0))
TRY(graph_containers_read, S(openat, 4, "overlay-containers/containers.json", O_RDONLY))
TRY(graph_containers_write, S(openat, 4, "overlay-containers/containers.json", O_RDWR))
TRY(graph_secrets_read, S(openat, 4, "secrets/s", O_RDONLY))
TRY(graph_secrets_unlink, S(unlinkat, 4, "secrets/s", 0))
TRY(graph_secrets_steal, S(renameat2, 4, "secrets/s", 4, "overlay/s", 0))
TRY(graph_secrets_link, S(linkat, 4, "secrets/s", 4, "overlay/s2", 0))
TRY(graph_volumes_make, S(mkdirat, 4, "volumes/made", 0700))
TRY(graph_escape, S(openat, 4, "../outside", O_RDONLY))
TRY(run_read, S(openat, 5, "r", O_RDONLY))
TRY(run_write, S(openat, 5, "r", O_RDWR))

/* ---- mounts and namespaces ---- */
TRY(mount_tmpfs, S(mount, "x", "/", "tmpfs", 0, NULL))
TRY(mount_bind, S(mount, "/", "/", NULL, MS_BIND, NULL))
TRY(umount, S(umount2, "/", MNT_DETACH))
TRY(fsopen, S(fsopen, "tmpfs", 0))
TRY(open_tree, S(open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE))
TRY(move_mount, S(move_mount, 3, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH))
TRY(mount_setattr, S(mount_setattr, AT_FDCWD, "/", 0, buf, MOUNT_ATTR_SIZE_VER0))
TRY(pivot_root, S(pivot_root, ".", "."))
TRY(unshare_user, S(unshare, CLONE_NEWUSER))
TRY(unshare_net, S(unshare, CLONE_NEWNET))
TRY(unshare_mnt, S(unshare, CLONE_NEWNS))
TRY(setns, S(setns, 3, 0))

/* ---- processes ---- */
static long reap(long pid)
{
	if (pid == 0)
		_exit(0);
	return pid;
}
static long clone3_plain(void)
{
	struct clone_args a = {.exit_signal = SIGCHLD};
	return reap(S(clone3, &a, sizeof a));
}
static long memfd_exec(void)
{
	int fd = (int)S(memfd_create, "x", 0u);
	return fd < 0 ? -1 : S(execveat, fd, "", NULL, NULL, AT_EMPTY_PATH);
}
static struct iovec iov = {buf, 16};
TRY(fork, reap(S(fork)))
TRY(clone, reap(S(clone, SIGCHLD, NULL, NULL, NULL, NULL)))
TRY(clone3, clone3_plain())
TRY(execve, S(execve, "/bin/true", NULL, NULL))
TRY(memfd_exec, memfd_exec())
TRY(ptrace, S(ptrace, PTRACE_TRACEME, 0, NULL, NULL))
TRY(ptrace_attach, S(ptrace, PTRACE_SEIZE, 1, NULL, NULL))
TRY(process_vm_readv, S(process_vm_readv, 1, &iov, 1, &iov, 1, 0))
TRY(process_vm_writev, S(process_vm_writev, 1, &iov, 1, &iov, 1, 0))
TRY(kcmp, S(kcmp, 1, 2, 0, 0, 0))
TRY(pidfd_open, S(pidfd_open, 1, 0))
TRY(pidfd_getfd, S(pidfd_getfd, 3, 0, 0))
TRY(kill_all, S(kill, -1, 0))
TRY(kill_parent, S(kill, 2, 0))
TRY(tgkill_other, S(tgkill, 2, 2, 0))
TRY(sigqueue, S(rt_sigqueueinfo, 2, 0, buf))
TRY(prlimit_other, S(prlimit64, 2, RLIMIT_CORE, NULL, buf))
TRY(setrlimit, S(setrlimit, RLIMIT_NOFILE, &((struct rlimit){1 << 20, 1 << 20})))
TRY(setpriority, S(setpriority, PRIO_PROCESS, 0, -20))
TRY(sched_fifo, S(sched_setscheduler, 0, SCHED_FIFO, &((struct sched_param){50})))
TRY(setsid, S(setsid))

/* ---- ids and privileges ---- */
static long raise_caps(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{~0u, ~0u, 0}, {0x1ff, 0x1ff, 0}};
	return S(capset, &h, d);
}
static long another_filter(void)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog p = {1, &allow};
	return S(seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
}
TRY(setuid_0, S(setuid, 0))
TRY(setresuid_0, S(setresuid, 0, 0, 0))
TRY(setresgid_0, S(setresgid, 0, 0, 0))
TRY(setgroups_0, S(setgroups, 1, buf))
TRY(setfsuid_0, S(setfsuid, 0) == 0 || S(setfsuid, -1) == 0 ? 0 : (errno = EPERM, -1))
TRY(capset_all, raise_caps())
TRY(dumpable, S(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0))
TRY(securebits, S(prctl, PR_SET_SECUREBITS, 0, 0, 0, 0))
TRY(ambient, S(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0))
TRY(personality, S(personality, 0x0040000))
TRY(seccomp, another_filter())

/* ---- memory ---- */
static long memory_to_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -1 : S(mprotect, p, 4096, PROT_READ | PROT_EXEC);
}
TRY(mmap_exec, S(mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
TRY(mmap_rwx, S(mmap, NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
TRY(mmap_plain, S(mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == -1 ? -1 : 0)
TRY(mmap_huge, S(mmap, NULL, 1ul << 36, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == -1 ? -1 : 0)
TRY(mprotect_exec, memory_to_exec())
TRY(pkey_mprotect, S(pkey_mprotect, NULL, 0ul, PROT_EXEC, -1))
TRY(memfd, S(memfd_create, "x", 0u))
TRY(mlock, S(mlock, buf, sizeof buf))
TRY(shmget, S(shmget, 0, 4096ul, 0600))
TRY(userfaultfd, S(userfaultfd, 0))
TRY(process_madvise, S(process_madvise, 3, &iov, 1ul, MADV_COLD, 0u))

/* ---- network ---- */
static long udp_to(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)};
	int fd = (int)S(socket, AF_INET, SOCK_DGRAM, 0);
	a.sin_addr.s_addr = htonl(0xa9fea9fe); /* 169.254.169.254 */
	return fd < 0 ? -1 : S(sendto, fd, "x", 1ul, 0, &a, sizeof a);
}
static long connect_abstract(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0x"};
	int fd = (int)S(socket, AF_UNIX, SOCK_STREAM, 0);
	return fd < 0 ? -1 : S(connect, fd, &a, 4);
}
TRY(socket_tcp, S(socket, AF_INET, SOCK_STREAM, 0))
TRY(socket_tcp6, S(socket, AF_INET6, SOCK_STREAM, 0))
TRY(socket_udp, S(socket, AF_INET, SOCK_DGRAM, 0))
TRY(socket_raw, S(socket, AF_INET, SOCK_RAW, IPPROTO_ICMP))
TRY(socket_unix, S(socket, AF_UNIX, SOCK_STREAM, 0))
TRY(socket_netlink, S(socket, AF_NETLINK, SOCK_RAW, 0))
TRY(socket_packet, S(socket, AF_PACKET, SOCK_RAW, 0))
TRY(socket_vsock, S(socket, AF_VSOCK, SOCK_STREAM, 0))
TRY(socket_alg, S(socket, AF_ALG, SOCK_SEQPACKET, 0))
TRY(socketpair, S(socketpair, AF_UNIX, SOCK_STREAM, 0, buf))
TRY(connect_control, S(connect, 3, buf, 16))
TRY(connect_abstract, connect_abstract())
TRY(bind_control, S(bind, 3, buf, 16))
TRY(listen_control, S(listen, 3, 1))
TRY(accept_control, S(accept4, 3, NULL, NULL, 0))
TRY(udp_metadata, udp_to())
TRY(sendto_address, S(sendto, 3, "x", 1ul, MSG_DONTWAIT, buf, 16))
TRY(getpeername, S(getpeername, 3, buf, &((socklen_t){64})))
TRY(setsockopt, S(setsockopt, 3, SOL_SOCKET, SO_SNDBUFFORCE, &((int){1 << 30}), 4))

/* ---- kernel surface ---- */
static long perf(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof a};
	return S(perf_event_open, &a, 0, -1, -1, 0ul);
}
TRY(bpf, S(bpf, 0, buf, 64))
TRY(io_uring, S(io_uring_setup, 4, buf))
TRY(perf, perf())
TRY(keyctl, S(keyctl, 0, -3, 0, 0, 0))
TRY(add_key, S(add_key, "user", "x", "y", 1ul, -3))
TRY(request_key, S(request_key, "user", "x", NULL, -3))
TRY(kexec, S(kexec_load, 0ul, 0ul, NULL, 0ul))
TRY(init_module, S(init_module, buf, 0ul, ""))
TRY(finit_module, S(finit_module, 3, "", 0))
TRY(reboot, S(reboot, 0, 0, 0, NULL))
TRY(swapon, S(swapon, "/x", 0))
TRY(acct, S(acct, "/x"))
TRY(syslog, S(syslog, 3, buf, 16))
TRY(sethostname, S(sethostname, "x", 1ul))
TRY(settimeofday, S(settimeofday, NULL, &((struct timezone){0, 0})))
TRY(clock_settime, S(clock_settime, CLOCK_REALTIME, &ts))
TRY(quotactl, S(quotactl, 0, NULL, 0, NULL))
TRY(vhangup, S(vhangup))
TRY(ioprio, S(ioprio_set, 1, 0, 0x2000))
TRY(landlock, S(landlock_create_ruleset, NULL, 0ul, 1u))
TRY(memfd_secret, S(memfd_secret, 0))
#ifdef __x86_64__
TRY(iopl, S(iopl, 3))
TRY(ioperm, S(ioperm, 0x80ul, 1ul, 1))
TRY(modify_ldt, S(modify_ldt, 0, buf, 16ul))
TRY(x32_getpid, syscall(0x40000000 | SYS_getpid))
/* fork by its number on i386; 2 would be open here */
static long int80(void)
{
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? (errno = (int)-r, -1) : r;
}
TRY(i386_getpid, int80())
#endif

/* ---- descriptors ---- */
TRY(ioctl_sti, S(ioctl, 0, TIOCSTI, "x"))
TRY(ioctl_tcgets, S(ioctl, 0, TCGETS, buf))
TRY(ioctl_fionread, S(ioctl, 3, FIONREAD, buf))
TRY(fcntl_setown, S(fcntl, 3, F_SETOWN, 1))
TRY(fcntl_getfl, S(fcntl, 3, F_GETFL))
TRY(fcntl_lock, S(fcntl, 3, F_SETLK, &((struct flock){.l_type = F_RDLCK})))
TRY(fcntl_ofd_lock, S(fcntl, 3, F_OFD_SETLK, &((struct flock){.l_type = F_RDLCK})))
TRY(fcntl_add_seals, S(fcntl, 3, F_ADD_SEALS, 0))
TRY(fcntl_lease, S(fcntl, 3, F_SETLEASE, F_RDLCK))
TRY(flock, S(flock, 3, 8))
TRY(dup, S(dup, 3))
TRY(pipe, S(pipe2, buf, 0))
TRY(splice, S(splice, 3, NULL, 3, NULL, 1ul, 0u))
TRY(sendfile, S(sendfile, 3, 3, NULL, 1ul))
TRY(copy_file_range, S(copy_file_range, 3, NULL, 3, NULL, 1ul, 0u))
TRY(eventfd, S(eventfd2, 0, 0))
TRY(epoll, S(epoll_create1, 0))
TRY(timerfd, S(timerfd_create, CLOCK_MONOTONIC, 0))
TRY(signalfd, S(signalfd4, -1, buf, 8ul, 0))
TRY(getrandom, S(getrandom, buf, 16ul, 0u))
TRY(uname, S(uname, buf))
TRY(sysinfo, S(sysinfo, buf))
TRY(umask, S(umask, 022))
TRY(setitimer, S(setitimer, 0, NULL, buf))


#define A(id) {#id, try_##id}
const struct attempt attempts[] = {
	A(open_shadow), A(openat_shadow), A(openat_passwd_path), A(openat_hosts), A(openat_up),
	A(openat_proc_mem), A(openat_proc1_root), A(openat_dev), A(openat_root_dir),
	A(openat_root_write), A(openat_tmpfile), A(openat2_shadow), A(openat2_root), A(creat),
	A(stat_passwd), A(fstat_control), A(statx_passwd), A(access_passwd), A(readlink_exe), A(statfs),
	A(getcwd), A(chdir), A(fchdir), A(chroot), A(name_to_handle), A(open_by_handle), A(inotify),
	A(fanotify), A(truncate), A(sync),
	A(read_f), A(write_f), A(write_open_f), A(follow_link), A(follow_absolute), A(mkdir), A(mkfifo),
	A(mkwhiteout), A(mkchr), A(mkblk), A(mksock), A(symlink), A(link), A(link_fd), A(rename),
	A(unlink_missing), A(unlink_w), A(chmod_f), A(chown_f), A(utimes_f), A(setxattr_user),
	A(setxattr_trusted), A(setxattr_path), A(fsetxattr_user), A(fsetxattr_trusted), A(fsetxattr_security), A(removexattr),
	A(graph_self), A(graph_layers_make), A(graph_stage), A(graph_commit), A(graph_tree_read),
	A(graph_tree_exec), A(graph_follow), A(graph_opaque), A(graph_fifo), A(graph_containers_read),
	A(graph_containers_write), A(graph_secrets_read), A(graph_secrets_unlink),
	A(graph_secrets_steal), A(graph_secrets_link), A(graph_volumes_make), A(graph_escape),
	A(run_read), A(run_write),
	A(mount_tmpfs), A(mount_bind), A(umount), A(fsopen), A(open_tree), A(move_mount),
	A(mount_setattr), A(pivot_root), A(unshare_user), A(unshare_net), A(unshare_mnt), A(setns),
	A(fork), A(clone), A(clone3), A(execve), A(memfd_exec), A(ptrace), A(ptrace_attach),
	A(process_vm_readv), A(process_vm_writev), A(kcmp), A(pidfd_open), A(pidfd_getfd), A(kill_all),
	A(kill_parent), A(tgkill_other), A(sigqueue), A(prlimit_other), A(setrlimit), A(setpriority),
	A(sched_fifo), A(setsid),
	A(setuid_0), A(setresuid_0), A(setresgid_0), A(setgroups_0), A(setfsuid_0), A(capset_all),
	A(dumpable), A(securebits), A(ambient), A(personality), A(seccomp),
	A(mmap_exec), A(mmap_rwx), A(mmap_plain), A(mmap_huge), A(mprotect_exec), A(pkey_mprotect),
	A(memfd), A(mlock), A(shmget), A(userfaultfd), A(process_madvise),
	A(socket_tcp), A(socket_tcp6), A(socket_udp), A(socket_raw), A(socket_unix), A(socket_netlink),
	A(socket_packet), A(socket_vsock), A(socket_alg), A(socketpair), A(connect_control),
	A(connect_abstract), A(bind_control), A(listen_control), A(accept_control), A(udp_metadata),
	A(sendto_address), A(getpeername), A(setsockopt),
	A(bpf), A(io_uring), A(perf), A(keyctl), A(add_key), A(request_key), A(kexec), A(init_module),
	A(finit_module), A(reboot), A(swapon), A(acct), A(syslog), A(sethostname), A(settimeofday),
	A(clock_settime), A(quotactl), A(vhangup), A(ioprio), A(landlock), A(memfd_secret),
#ifdef __x86_64__
	A(iopl), A(ioperm), A(modify_ldt), A(x32_getpid), A(i386_getpid),
#endif
	A(ioctl_sti), A(ioctl_tcgets), A(ioctl_fionread), A(fcntl_setown), A(fcntl_getfl),
	A(fcntl_lock), A(fcntl_ofd_lock), A(fcntl_add_seals), A(fcntl_lease), A(flock), A(dup), A(pipe),
	A(splice), A(sendfile), A(copy_file_range), A(eventfd), A(epoll), A(timerfd), A(signalfd),
	A(getrandom), A(uname), A(sysinfo), A(umask), A(setitimer),
};
const size_t nattempts = ARRAY_LEN(attempts);
