package plan

import "fmt"

// Workload is what a crowd asks for.
type Workload struct {
	Rate    float64 `json:"rate" default:"20000" placeholder:"N" help:"Requests per second at the peak. Default: ${default}."`
	Peak    float64 `json:"peak" default:"60" placeholder:"SECONDS" help:"How long the peak lasts. Default: ${default}."`
	Wins    float64 `json:"wins" default:"0.3" placeholder:"SHARE" help:"Share of the requests that get something; the others are rejected. Default: ${default}."`
	Sales   int     `json:"sales" default:"100" placeholder:"N" help:"Sales that are asked for at the same time. Default: ${default}."`
	Hottest float64 `json:"hottest" default:"0.1" placeholder:"SHARE" help:"Share of the requests that go to one sale; the others go to all others alike. Default: ${default}."`
	Waits   float64 `json:"waits" default:"1" placeholder:"SHARE" help:"Share of those who ask that have the answer held until there is an outcome. Default: ${default}."`
	Polls   float64 `json:"polls" default:"0" placeholder:"N" help:"Polls for each request, beside. Default: ${default}."`
	Hours   float64 `json:"hours" default:"4" placeholder:"HOURS" help:"How long Redis keeps what was decided: until its sale has been closed for two hours. Default: ${default}."`
	Day     float64 `json:"day" default:"0" placeholder:"N" help:"Requests in a day. Default: one peak."`
	Backlog int     `json:"backlog" default:"100000" placeholder:"N" help:"SLUICE_BACKLOG: requests that may be queued in one partition. Default: ${default}."`
}

func (w Workload) check() error {
	share := func(v float64) bool { return v >= 0 && v <= 1 }
	switch {
	case !(w.Rate > 0 && w.Rate <= 100e6):
		return fmt.Errorf("rate must be between 0 and 100 million, is %v", w.Rate)
	case !(w.Peak > 0 && w.Peak <= 86400):
		return fmt.Errorf("peak must be between 0 and 86400 seconds, is %v", w.Peak)
	case !share(w.Wins) || !share(w.Hottest) || !share(w.Waits):
		return fmt.Errorf("wins, hottest and waits must be between 0 and 1, are %v, %v and %v", w.Wins, w.Hottest, w.Waits)
	case w.Sales < 1 || w.Sales > 10_000_000:
		return fmt.Errorf("sales must be between 1 and 10 million, are %d", w.Sales)
	case !(w.Polls >= 0 && w.Polls <= 1000):
		return fmt.Errorf("polls must be between 0 and 1000, are %v", w.Polls)
	case !(w.Hours >= 0 && w.Hours <= 8784) || !(w.Day >= 0 && w.Day <= 1e12):
		return fmt.Errorf("hours must be between 0 and 8784 and day up to 10^12, are %v and %v", w.Hours, w.Day)
	case w.Backlog < 1:
		return fmt.Errorf("backlog must be positive, is %d", w.Backlog)
	}
	return nil
}

// hot is the share of the hottest sale: no less than any other one's.
func (w Workload) hot() float64 { return max(w.Hottest, 1/float64(w.Sales)) }

// Machines are what it runs on. 0 of something: as many as are needed.
type Machines struct {
	APICores      int     `json:"api_cores" default:"4" placeholder:"N" help:"Cores of a host of an API process. Default: ${default}."`
	ConsumerCores int     `json:"consumer_cores" default:"4" placeholder:"N" help:"Cores of a host of a consumer. Default: ${default}."`
	PostgresCores int     `json:"postgres_cores" default:"16" placeholder:"N" help:"Cores of Postgres. Default: ${default}."`
	Disk          float64 `json:"disk_mb" name:"disk" default:"500" placeholder:"MB" help:"Megabytes a second that the disk of Postgres takes for its log. Default: ${default}."`
	Full          float64 `json:"full" default:"0.6" placeholder:"SHARE" help:"How busy anything may be at the peak: the rest is for what is not evenly spread, and for whoever has died. Default: ${default}."`
	Network       float64 `json:"network_ms" name:"network" default:"0.1" placeholder:"MS" help:"Milliseconds from host to host, one way. Default: ${default}."`
	Commit        float64 `json:"commit_ms" name:"commit" default:"1" placeholder:"MS" help:"Milliseconds that a COMMIT waits for the disk of Postgres (and its synchronous standby). Default: ${default}."`
	APIs          int     `json:"apis" name:"apis" default:"0" placeholder:"N" help:"API processes. Default: as many as are needed."`
	Consumers     int     `json:"consumers" default:"0" placeholder:"N" help:"Consumers. Default: as many as are needed."`
	Masters       int     `json:"masters" default:"0" placeholder:"N" help:"Masters of Redis. Default: as many as are needed."`
	Partitions    int     `json:"partitions" default:"0" placeholder:"N" help:"SLUICE_PARTITIONS. Default: as many as are needed, 16 or more."`
}

const (
	most           = 10_000 // of a kind of process
	partitionsMost = 4096   // as SLUICE_PARTITIONS allows
)

func (m Machines) check() error {
	for _, of := range []struct {
		name           string
		n, least, most int
	}{
		{"api-cores", m.APICores, 1, 1024}, {"consumer-cores", m.ConsumerCores, 1, 1024}, {"postgres-cores", m.PostgresCores, 1, 1024},
		{"apis", m.APIs, 0, most}, {"consumers", m.Consumers, 0, most}, {"masters", m.Masters, 0, most}, {"partitions", m.Partitions, 0, partitionsMost},
	} {
		if of.n < of.least || of.n > of.most {
			return fmt.Errorf("%s must be between %d and %d, are %d", of.name, of.least, of.most, of.n)
		}
	}
	switch {
	case !(m.Disk > 0 && m.Disk <= 1e6):
		return fmt.Errorf("disk must be between 0 and a million MB a second, is %v", m.Disk)
	case !(m.Full > 0 && m.Full <= 1):
		return fmt.Errorf("full must be between 0 and 1, is %v", m.Full)
	case !(m.Network >= 0 && m.Network <= 1000) || !(m.Commit >= 0 && m.Commit <= 1000):
		return fmt.Errorf("network and commit must be between 0 and 1000 ms, are %v and %v", m.Network, m.Commit)
	}
	return nil
}
