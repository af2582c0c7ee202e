package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"bridgehead/core/rtpio"
)

// Echo answers every datagram on addr with itself, by plain system calls on
// one socket: the least that any bridge must do for a packet in and one out,
// and so the limit that the benchmark compares with. It answers each as it
// comes; or, if every is not 0, looks only so often and then takes up to 64 in
// one system call, and answers them by one more: cheaper still, and late. If
// suite is that of an AEAD, each packet is decrypted and encrypted on its way.
// ready is told the real address.
func Echo(ctx context.Context, addr string, every time.Duration, suite string, ready func(netip.AddrPort)) error {
	var peers *echoPeers
	if suite != "" {
		s, ok := rtpio.SuiteNamed(suite)
		if !ok || !strings.HasPrefix(s.Name, "AEAD") || every > 0 {
			return fmt.Errorf("echo: of suites, AEAD_AES_256_GCM and AEAD_AES_128_GCM, and each packet as it comes")
		}
		peers = &echoPeers{s, map[unix.RawSockaddrInet4]*echoPeer{}}
	}
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
	if every > 0 {
		return echoBatches(ctx, fd, every)
	}
	return echo(ctx, fd, peers)
}

// echo does without the standard library's sockets, which allocate.
func echo(ctx context.Context, fd int, peers *echoPeers) error {
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
		if peers != nil {
			n = uintptr(len(peers.answer(buf[:n], from)))
		}
		if n > 0 {
			_, _, _ = unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), n, 0,
				uintptr(unsafe.Pointer(&from)), uintptr(size))
		}
	}
	return nil
}

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

func echoBatches(ctx context.Context, fd int, every time.Duration) error {
	const batch, size = 64, 2048
	var (
		heads [batch]mmsghdr
		vecs  [batch]unix.Iovec
		names [batch]unix.RawSockaddrInet4
		data  [batch][size]byte
	)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		for n := batch; n == batch; {
			for i := range heads {
				vecs[i].Base = &data[i][0]
				vecs[i].SetLen(size)
				h := &heads[i].hdr
				h.Name, h.Namelen, h.Iov = (*byte)(unsafe.Pointer(&names[i])), unix.SizeofSockaddrInet4, &vecs[i]
				h.SetIovlen(1)
			}
			got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&heads)), batch, unix.MSG_DONTWAIT, 0, 0)
			if errno != 0 {
				break
			}
			n = int(got)
			for i := range n {
				vecs[i].SetLen(int(heads[i].len))
			}
			_, _, _ = unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&heads)), got, unix.MSG_DONTWAIT, 0, 0)
		}
	}
}
