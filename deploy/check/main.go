// Command check holds docker-compose.yml, the Dockerfile and everything under deploy/
// against the program: names and values of settings, ports, probes, times of grace,
// limits, who waits for whom, who may do what, where secrets are.
//
//	check                       says what is wrong, and exits with 1 if anything is
//	check build DIR VERSION     runs the Dockerfile's build stage here, without Docker, into DIR
//
// and, for deploy/rehearse:
//
//	check plan FILE DIR ENV NET writes what the compose file FILE would start into DIR, a few scripts
//	                            for each container, with the variables of the file ENV and with
//	                            addresses on this machine, NET.x (127.77.3 or the like)
//	check names FILE ADDRESS    is the name server of these containers
//
// It reads docker-compose.yml with the library that Docker Compose is made of, the
// Dockerfile with BuildKit's parser, and Kubernetes' objects into its own types, where an
// unknown field is an error; units are systemd's own to judge.
//
// It is a module of its own: none of this belongs into the product's go.sum. Run it in
// the repository.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	err := run(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	root, err := repository()
	if err != nil {
		return err
	}
	switch {
	case len(args) == 0:
		return everything(ctx, root)
	case args[0] == "build" && len(args) == 3:
		return buildImage(ctx, root, args[1], args[2])
	case args[0] == "plan" && len(args) == 5:
		return plan(ctx, root, args[1], args[2], args[3], args[4])
	case args[0] == "names" && len(args) == 3:
		return names(ctx, args[1], args[2])
	}
	return errors.New("usage: check, check build DIR VERSION, check plan FILE DIR ENV NET, or check names FILE ADDRESS")
}

// everything is the check.
func everything(ctx context.Context, root string) error {
	p, err := buildPrograms(root)
	if err != nil {
		return err
	}
	defer p.remove()
	all, err := faultsOfAll(ctx, root, p)
	if err != nil {
		return err
	}
	for _, f := range all {
		fmt.Println(f)
	}
	if len(all) > 0 {
		return fmt.Errorf("%d things are wrong", len(all))
	}
	fmt.Println("docker-compose.yml, the Dockerfile, deploy/kubernetes and deploy/systemd fit the program")
	return nil
}

func faultsOfAll(ctx context.Context, root string, p *programs) ([]fault, error) {
	image, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	all := imageFaults(root, image)
	for _, check := range []func(context.Context, string, *programs) ([]fault, error){composeFaults, kubernetesFaults, systemdFaults} {
		faults, err := check(ctx, root, p)
		if err != nil {
			return nil, err
		}
		all = append(all, faults...)
	}
	return all, nil
}

// fault is one thing that is wrong.
type fault struct {
	rule  string // the rule that it breaks
	where string // file, service, object
	what  string
}

func (f fault) String() string { return f.where + ": " + f.what + " (" + f.rule + ")" }

// repository answers the folder that all of this is about: the one we stand in, or above.
func repository() (string, error) {
	at, err := os.Getwd()
	for ; err == nil && at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "docker-compose.yml")); err == nil {
			return at, nil
		}
	}
	return "", errors.Join(errors.New("this is not the repository of Sluice"), err)
}
