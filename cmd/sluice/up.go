package main

import (
	"context"
	"errors"
	"os"

	"sluice/internal/process"
)

type up struct {
	process.Config `embed:""`
}

func (up) Help() string {
	return `It brings the schema up to date, then runs the API, a consumer and a scheduler until SIGINT or SIGTERM. Servers that are not given are started in the data folder and keep their data there, except for a Redis inside the program (when there is no redis-server), which forgets everything at exit.`
}

// Run is the command.
func (u *up) Run(ctx context.Context) (err error) {
	if err := u.Check(process.Schema); err != nil {
		return err
	}
	log := u.Logger(os.Stderr)
	log.Info().Str("version", process.Version()).EmbedObject(u.Config).Msg("starting")
	doors, err := listen(ctx, u.Config, false)
	if err != nil {
		return err
	}
	defer doors.close()
	h, err := open(ctx, u.Config, log, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	log.Info().Str("url", doors.url()).Msg("Sluice is up; Ctrl-C ends it")
	return h.Run(ctx, doors.api, doors.ops)
}
