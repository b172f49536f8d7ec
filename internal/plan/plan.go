// Package plan says what a crowd needs before it comes: how many processes, partitions,
// masters and connections, what breaks first and when, and, by a simulation, how long
// people wait and what happens when something dies.
//
//	benchmarks.json ──▶ Costs ──┬─▶ Size       closed formulas: how busy is everything, what breaks first
//	   (or a file)              ├─▶ Simulate   queues, cores, batches, commits, and the network between them, event by event
//	Workload, Machines ─────────┘
//	                  Prove: the machine of the benchmarks, simulated, beside what was measured on it
//
// It counts with CPU per request, which one small machine can measure, and with the shape of
// Sluice: who shares a trip, what is done one after the other, what beside each other.
// What it cannot know is said where it is printed: it has no locks between wallets, no
// checkpoints, no garbage to collect, and no neighbours on the machine.
package plan

import (
	"fmt"
	"sluice/docs"
)

// Options are what to plan for.
type Options struct {
	Workload
	Machines
	Costs    Costs  // nil: as measured
	Seed     uint64 // of the simulation
	Requests int    // that are simulated, at most; 0: none
	Loss     Loss
}

// Report is a plan.
type Report struct {
	Workload   Workload   `json:"workload"`
	Machines   Machines   `json:"machines"`
	Costs      []Cost     `json:"costs"`
	Deployment Deployment `json:"deployment"`
	Complaints []string   `json:"complaints,omitempty"`
	Uses       []Use      `json:"uses"`
	Stores     Stores     `json:"stores"`
	Simulated  *Simulated `json:"simulated,omitempty"`
	Loss       *Loss      `json:"loss,omitempty"`
	Lost       *Simulated `json:"lost,omitempty"` // the same crowd, while that is dead
}

// RequestsMost may be simulated: they take about a minute.
const RequestsMost = 10_000_000

// Check tells what is wrong with o.
func (o Options) Check() error {
	for _, wrong := range []error{o.Workload.check(), o.Machines.check(), o.Loss.check()} {
		if wrong != nil {
			return wrong
		}
	}
	if o.Requests < 0 || o.Requests > RequestsMost {
		return fmt.Errorf("requests must be between 0 and %d, are %d", RequestsMost, o.Requests)
	}
	return nil
}

// Make makes a plan.
func Make(o Options) (Report, error) {
	if err := o.Check(); err != nil {
		return Report{}, err
	}
	if o.Costs == nil {
		var err error
		if o.Costs, err = Measured(docs.Benchmarks); err != nil {
			return Report{}, err
		}
	}
	s := sizing{Workload: o.Workload, Machines: o.Machines, costs: o.Costs}
	r := Report{Workload: o.Workload, Machines: o.Machines, Costs: o.Costs.All()}
	r.Deployment, r.Complaints = s.Size()
	r.Uses, r.Stores = s.Breaking(r.Deployment), s.Stores(r.Deployment)
	if o.Requests > 0 {
		calm := s.Simulate(r.Deployment, o.Seed, o.Requests, Loss{})
		r.Simulated = &calm
		if o.Loss.What != "" {
			lost := s.Simulate(r.Deployment, o.Seed, o.Requests, o.Loss)
			r.Loss, r.Lost = &o.Loss, &lost
		}
	}
	return r, nil
}
