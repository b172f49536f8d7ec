package torture

import (
	"context"
	"errors"
	"fmt"
	"os"

	"sluice/internal/process"
)

// The roles of workers.
const (
	roleAPI       = "api"
	roleConsumer  = "consumer"
	roleScheduler = "scheduler"
)

// Worker is one process of a deployment: the same loops as in cmd/api, cmd/consumer
// and cmd/scheduler, in the program that tortures them, so that there is nothing to
// build or to find. It is a command of kong.
type Worker struct {
	process.Config `embed:""`

	Role string `arg:"" enum:"api,consumer,scheduler" help:"Which one."`
}

// Run is the command.
func (w *Worker) Run(ctx context.Context) (err error) {
	if err := w.Check(process.Servers, process.Keys); err != nil {
		return err
	}
	log := w.Logger(os.Stderr)
	process.TakeDriverLogs(log)
	p, err := process.Open(ctx, w.Config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	run := map[string]func(context.Context) error{
		roleAPI: p.RunAPI, roleConsumer: p.RunConsumer, roleScheduler: p.RunScheduler,
	}[w.Role]
	if run == nil {
		return fmt.Errorf("there is no role %q", w.Role)
	}
	return process.Together(ctx, run, p.RunOps)
}
