package torture

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// space is a network namespace without a name: it is gone when nobody is in it any more.
type space struct{ file *os.File }

// newSpace makes a network namespace with loopback and one more interface, which has this
// address in a network of 24 bits. What the kernel sends through that is read from far,
// and the other way round.
func newSpace(address netip.Addr) (s *space, far io.ReadWriteCloser, err error) {
	// The thread ends with its goroutine, since it is never unlocked: nobody else may come
	// to be in there by chance.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		s, far, err = unshare(address)
	}()
	<-done
	return s, far, err
}

func unshare(address netip.Addr) (_ *space, far io.ReadWriteCloser, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, nil, needs("CAP_SYS_ADMIN, to make a network namespace", err)
	}
	if err := up("lo", netip.Addr{}); err != nil {
		return nil, nil, err
	}
	const name = "cable"
	tun, err := openTUN(name)
	if err != nil {
		return nil, nil, err
	}
	if err := up(name, address); err != nil {
		return nil, nil, errors.Join(err, tun.Close())
	}
	file, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, nil, errors.Join(err, tun.Close())
	}
	return &space{file}, tun, nil
}

// needs says of a refusal which right is missing.
func needs(right string, err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("the right %s, is missing (root has it): %w", right, err)
	}
	return fmt.Errorf("use the right %s: %w", right, err)
}

// openTUN makes an interface whose packets are read and written here.
func openTUN(name string) (*os.File, error) {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, needs("to read and write "+device+", for the ends of a cable", err)
	}
	wanted, err := unix.NewIfreq(name)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	wanted.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, wanted); err != nil {
		return nil, errors.Join(needs("CAP_NET_ADMIN, to make an interface", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), device), nil
}

// up takes an interface of the thread's namespace into use, with an address if it is
// given one.
func up(name string, address netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ask := func(what uint, fill func(*unix.Ifreq) error) error {
		request, err := unix.NewIfreq(name)
		if err == nil {
			err = fill(request)
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, what, request)
		}
		if err != nil {
			return fmt.Errorf("take the interface %s into use: %w", name, err)
		}
		return nil
	}
	if address.IsValid() {
		four := address.As4()
		for _, step := range []struct {
			what uint
			fill func(*unix.Ifreq) error
		}{
			{unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(four[:]) }},
			{unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }},
			{unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtu); return nil }},
		} {
			if err := ask(step.what, step.fill); err != nil {
				return err
			}
		}
	}
	return ask(unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil })
}

// enter puts the calling thread into the namespace, and whatever it starts from now on.
func (s *space) enter() error {
	if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	return nil
}

// do does something in the namespace: a socket that is made there stays there.
func (s *space) do(something func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good, as in newSpace
		if err = s.enter(); err == nil {
			err = something()
		}
	}()
	<-done
	return err
}

// leave lets go of the namespace.
func (s *space) leave() error { return s.file.Close() }
