package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// The roles of workers.
const (
	RoleAPI       = "api"
	RoleConsumer  = "consumer"
	RoleScheduler = "scheduler"
)

// Worker is one process of a deployment: the same loops as in cmd/api, cmd/consumer
// and cmd/scheduler, in the program of the tool that wants one (torture, bench), so that
// there is nothing to build or to find. It is a command of kong.
type Worker struct {
	Config `embed:""`

	Role string `arg:"" enum:"api,consumer,scheduler" help:"Which one."`

	Detour Detours `placeholder:"FROM=TO" help:"Reach a Redis server at one address by way of another; repeatable. The nodes of a cluster tell their addresses themselves, so no URL can lead around."`
}

// Detours are addresses (host:port) by those that are asked for.
type Detours map[string]string

// dial connects to addr, by its detour if it has one.
func (d Detours) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, cmp.Or(d[addr], addr))
}

// Run is the command.
func (w *Worker) Run(ctx context.Context) (err error) {
	if err := w.Check(Servers, Keys); err != nil {
		return err
	}
	log := w.Logger(os.Stderr)
	TakeDriverLogs(log)
	if len(w.Detour) > 0 {
		w.RedisDial = w.Detour.dial
	}
	p, err := Open(ctx, w.Config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	run := map[string]func(context.Context) error{
		RoleAPI: p.RunAPI, RoleConsumer: p.RunConsumer, RoleScheduler: p.RunScheduler,
	}[w.Role]
	if run == nil {
		return fmt.Errorf("there is no role %q", w.Role)
	}
	return Together(ctx, run, p.RunOps)
}
