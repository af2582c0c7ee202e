package load

import (
	"context"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Echo answers every datagram on addr with itself, by plain system calls on
// one socket: the least that any bridge must do for a packet in and one out,
// and so the limit that the benchmark compares with. ready is told the real
// address.
func Echo(ctx context.Context, addr string, ready func(netip.AddrPort)) error {
	udp, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	local := &unix.SockaddrInet4{Port: udp.Port}
	copy(local.Addr[:], udp.IP.To4())
	if err := unix.Bind(fd, local); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	in4 := bound.(*unix.SockaddrInet4)
	ready(netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)))
	context.AfterFunc(ctx, func() { _ = unix.Shutdown(fd, unix.SHUT_RD) })
	return echo(ctx, fd)
}

// echo does without the standard library's sockets, which allocate.
func echo(ctx context.Context, fd int) error {
	buf := make([]byte, 2048)
	var from unix.RawSockaddrInet4
	for ctx.Err() == nil {
		size := uint32(unix.SizeofSockaddrInet4)
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0,
			uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		if n > 0 {
			_, _, _ = unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), n, 0,
				uintptr(unsafe.Pointer(&from)), uintptr(size))
		}
	}
	return nil
}
