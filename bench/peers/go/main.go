// The Go side of `heddle bench`: one subcommand per scenario, one JSON object on standard output.
//
//	go-peer create '{"n":10000,"processors":2}'
//
// Always true here: one process measures one thing once; keys of the result are those of the native
// benchmark of the same name; the number of processors is the caller's choice, scenario by
// scenario, and is the one found best for Go (see bench/scenarios).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
)

type params struct {
	N          int `json:"n"`
	Processors int `json:"processors"`
	Park       int `json:"park"`
	Yields     int `json:"yields"`
	StackSize  int `json:"stackSize"`
	Armed      int `json:"armed"`
	Senders    int `json:"senders"`
	Receivers  int `json:"receivers"`
	Capacity   int `json:"capacity"`
	Cases      int `json:"cases"`
	Selectors  int `json:"selectors"`
	Channels   int `json:"channels"`
	// MessageChannels: channels full of messages, beside Channels that are full of numbers.
	MessageChannels int `json:"messageChannels"`
	// GCPercent as in GOGC; -1 switches collections off, 0 keeps the default.
	GCPercent int `json:"gcPercent"`
}

type result map[string]interface{}

var benchmarks = map[string]func(params) result{
	"create":          create,
	"spawn":           spawn,
	"memory":          memory,
	"switch":          yieldAround,
	"stack":           stack,
	"steal":           steal,
	"timer":           timer,
	"timer-cancel":    timerCancel,
	"preempt":         preempt,
	"pingpong":        pingpong,
	"channel":         channel,
	"channel-latency": channelLatency,
	"channel-memory":  channelMemory,
	"select":          selectAmong,
	"echo":            echo,
}

func usage() {
	names := make([]string, 0, len(benchmarks))
	for name := range benchmarks {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "expected one of %v and a JSON object, got %q\n", names, os.Args[1:])
	os.Exit(2)
}

func main() {
	if len(os.Args) != 3 || benchmarks[os.Args[1]] == nil {
		usage()
	}
	var p params
	if err := json.Unmarshal([]byte(os.Args[2]), &p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		usage()
	}
	if p.Processors > 0 {
		runtime.GOMAXPROCS(p.Processors)
	}
	if p.GCPercent != 0 {
		debug.SetGCPercent(p.GCPercent)
	}
	if err := json.NewEncoder(os.Stdout).Encode(benchmarks[os.Args[1]](p)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
