//go:build !linux

package torture

import (
	"errors"
	"io"
	"net/netip"
)

// space is a network namespace, which only Linux has.
type space struct{}

var errNoSpace = errors.New("hosts are network namespaces: they need Linux")

func newSpace(netip.Addr) (*space, io.ReadWriteCloser, error) { return nil, nil, errNoSpace }

func (*space) enter() error          { return errNoSpace }
func (*space) do(func() error) error { return errNoSpace }
func (*space) leave() error          { return nil }
