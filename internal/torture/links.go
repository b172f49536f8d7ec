package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// linkBy is how long a link may take to fall ill or to heal. It needs moments; the
// proxy is not ours, and one that hangs must be told from a deployment that does.
const linkBy = 30 * time.Second

// links are all the lines of a deployment. Every worker reaches Redis and Postgres
// through a line of its own, and the clients each API:
//
//	clients ──link──▶ api-1 ──link──▶ Redis        a link can be slow, trickle, be reset, or swallow
//	                        ──link──▶ Postgres     what goes one way, the other, or both
//
// Where Redis is a cluster, each worker has a line to each of its nodes.
//
// Our own eyes (the schema, accounts, the audit) go past them.
type links struct {
	server *toxiproxy.ApiServer // never listens: the proxies want one for its log and metrics, and it has neither
	all    []*link
}

// link is one line. It has at most one illness at a time.
type link struct {
	name    string
	address string // where to reach its upstream through it
	proxy   *toxiproxy.Proxy
	trouble *trouble // whose: that of the worker at the near end
	node    int      // of a cluster, that it leads to; −1: to something else

	mu  sync.Mutex
	ill bool
}

// toxic is what happens to the data that goes one way.
type toxic struct {
	Type       string           `json:"type"`
	Stream     string           `json:"stream"` // upstream: towards the server; or downstream
	Name       string           `json:"name"`
	Attributes map[string]int64 `json:"attributes"`
}

func newLinks() *links {
	return &links{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// lay makes a link to upstream, which need not be there yet.
func (l *links) lay(name, upstream string, trouble *trouble) (*link, error) {
	p := toxiproxy.NewProxy(l.server, name, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("lay the link %s: %w", name, err)
	}
	made := &link{name: name, address: p.Listen, proxy: p, trouble: trouble, node: -1}
	l.all = append(l.all, made)
	return made, nil
}

// detour lays a link to the server of a URL, and answers the URL that leads through it.
func (l *links) detour(name, to string, trouble *trouble) (string, error) {
	u, err := url.Parse(to)
	if err != nil {
		return "", fmt.Errorf("lay the link %s: %w", name, err)
	}
	made, err := l.lay(name, u.Host, trouble)
	if err != nil {
		return "", err
	}
	u.Host = made.address
	return u.String(), nil
}

// lead lays a link to each node of a cluster, and answers by which detours a worker
// reaches them.
func (l *links) lead(name string, c *cluster, trouble *trouble) (args []string, err error) {
	for i := range c.Nodes() {
		made, err := l.lay(fmt.Sprintf("%s-redis-%d", name, i), c.Addr(i), trouble)
		if err != nil {
			return nil, err
		}
		made.node = i
		args = append(args, "--detour", c.Addr(i)+"="+made.address)
	}
	return args, nil
}

// suffer gives the link these toxics until what is done meanwhile has ended. It says
// whether it did: one that is ill already is let alone.
func (l *link) suffer(toxics []toxic, meanwhile func()) (done bool, err error) {
	l.mu.Lock()
	free := !l.ill
	l.ill = l.ill || free
	l.mu.Unlock()
	if !free {
		return false, nil
	}
	err = l.trouble.during(func() error {
		if err := l.patiently("fall ill", func() error { return l.add(toxics) }); err != nil {
			return err
		}
		meanwhile()
		return l.patiently("heal", func() error { return l.remove(toxics) })
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ill = err != nil // it is never touched again then
	return err == nil, err
}

func (l *link) add(toxics []toxic) error {
	for _, t := range toxics {
		text, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if _, err := l.proxy.Toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

func (l *link) remove(toxics []toxic) (err error) {
	for _, t := range toxics {
		err = errors.Join(err, l.proxy.Toxics.RemoveToxic(context.Background(), t.Name))
	}
	return err
}

func (l *link) patiently(what string, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("let the link %s %s: %w", l.name, what, err)
		}
		return nil
	case <-time.After(linkBy):
		return fmt.Errorf("the link %s does not %s within %s: it hangs", l.name, what, linkBy)
	}
}

// close takes all links away, with whatever goes through them.
func (l *links) close() {
	for _, one := range l.all {
		one.proxy.Stop()
	}
}
