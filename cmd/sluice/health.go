package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type health struct {
	URL  string `arg:"" optional:"" help:"The operations port to ask, as http://host:port. Default: this machine's, at SLUICE_OPS_LISTEN."`
	Live bool   `help:"Ask whether the process lives (/healthz), not whether it can work (/readyz)."`

	// Of the Config this alone: a probe runs every few seconds and needs no secret.
	OpsListen string `env:"SLUICE_OPS_LISTEN" default:"${ops_listen}" placeholder:"ADDR" help:"Address of the operations port when no URL is given. Default: ${default}."`
}

func (health) Help() string {
	return `For images and units that hold no other program which could ask. Exit status 0 when all is well, 1 when it is not, with what is wrong on standard error.`
}

const (
	healthPatience = 4 * time.Second // more than /readyz takes to give a server up
	longestAnswer  = 64 << 10        // bytes
)

// errUnwell is wrapped by an answer that is bad news.
var errUnwell = errors.New("not well")

// Run is the command.
func (h *health) Run(ctx context.Context) error {
	target, err := h.target()
	if err != nil {
		return usage{err}
	}
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return usage{err}
	}
	// No proxy that the environment names, and no redirect: this asks one process.
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err != nil {
		return fmt.Errorf("read %s: %w", target, err)
	}
	if response.StatusCode == http.StatusOK {
		fmt.Println("well")
		return nil
	}
	var wrong []string
	if json.Unmarshal(body, &wrong) != nil || len(wrong) == 0 {
		return fmt.Errorf("%w: %s answers %s", errUnwell, target, response.Status)
	}
	return fmt.Errorf("%w: %s", errUnwell, strings.Join(wrong, "; "))
}

// target is what to ask.
func (h *health) target() (string, error) {
	base := h.URL
	if base == "" {
		host, port, err := net.SplitHostPort(h.OpsListen)
		if err != nil {
			return "", fmt.Errorf("SLUICE_OPS_LISTEN must be host:port or :port, is %q", h.OpsListen)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1" // who listens everywhere listens here
		}
		base = "http://" + net.JoinHostPort(host, port)
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the URL must look like http://host:port")
	}
	u.Path = "/readyz"
	if h.Live {
		u.Path = "/healthz"
	}
	return u.String(), nil
}
