package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox"
)

func newGPU(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gpu",
		Short: "List the GPUs, check that an environment can work on them, and say who gets which",
		Long: `What --gpus and [gpu] mean here.

A selection is  none | all | COUNT | ID…  with conditions after commas:
  GPU-8f3a  MIG-…  0000:3b:00.0  index=0     one GPU or slice, by the beginning of its UUID, by PCI address, by number
  min-memory=40GiB  min-total=80GiB          free memory, memory
  name=H100  cc>=9.0  mig=1g.10gb            part of the model's name, compute capability, MIG profile
  same-numa                                  all at one node of the processors' memory
  share=yes  wait=10m                        others may use it too; wait for a free one
  caps=compute+utility+video                 parts of the driver
A run takes its GPUs for itself: the next run gets others, or is refused. A shell takes none.` + "\n" + exitStatus,
		Example: `  sandbox gpu list
  sandbox gpu check                                    this project's environment
  sandbox gpu why --gpus 2,min-memory=40GiB,same-numa
  sandbox run --gpus 1 python train.py`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownBelow(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newGPUList(a), newGPUCheck(a), newGPUWhy(a))
	return cmd
}

func newGPUList(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the GPUs of this machine, and the slices (MIG) of each",
		Long:    "Lists GPUs with memory, compute capability and what computes on them. A machine without a GPU is not an error." + "\n" + exitStatus,
		Example: "  sandbox gpu list\n  sandbox gpu list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			inv, err := m.GPUs(cmd.Context())
			if asJSON {
				if jerr := a.json(listed{inv, m.GPULeases(inv)}); jerr != nil {
					return jerr
				}
				return err
			}
			a.printGPUs(inv, m.GPULeases(inv))
			a.printProblems(m.GPUProblems())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// listed is what `gpu list --json` prints.
type listed struct {
	gpu.Inventory
	Leases map[string]string `json:"leases,omitempty"` // who has taken which GPU or slice, by UUID
}

func (a *app) printGPUs(inv gpu.Inventory, leases map[string]string) {
	switch {
	case len(inv.Devices) == 0 && inv.Source == "wsl":
		a.printf("no GPU can be seen here\n")
		return
	case len(inv.Devices) == 0:
		a.printf("no GPU here\n")
		return
	}
	var rows [][]string
	for _, d := range inv.Devices {
		rows = append(rows, []string{fmt.Sprint(d.Index), d.ID(), d.BDF, d.Name, known(d.CC != gpu.CC{}, d.CC.String()), memory(d.Memory), use(d, leases[d.ID()])})
		for _, s := range d.MIG {
			rows = append(rows, []string{fmt.Sprintf("%d:%d", d.Index, s.Index), s.UUID, "", "MIG " + s.Profile, "", memory(s.Memory), processes(s.Busy, leases[s.UUID])})
		}
	}
	a.table([]string{"GPU", "UUID", "PCI", "MODEL", "CC", "FREE / TOTAL", "IN USE"}, rows)
	cuda := ""
	if inv.CUDA.Known() {
		cuda = ", CUDA up to " + inv.CUDA.String()
	}
	a.printf("driver %s%s, from %s\n", known(inv.Driver != "", inv.Driver), cuda, inv.Source)
}

// printProblems says what is wrong with GPUs, and why less is known of them than could be.
func (a *app) printProblems(problems []error) {
	for _, p := range problems {
		fmt.Fprintf(a.err, "warning: %v\n", p)
		for _, h := range hint.Of(p) {
			fmt.Fprintf(a.err, "hint: %s\n", h)
		}
	}
}

func known(ok bool, s string) string {
	if !ok {
		return "-"
	}
	return s
}

func memory(m gpu.Memory) string {
	if m.Total == 0 {
		return "-"
	}
	const gib = 1 << 30
	return fmt.Sprintf("%.1f / %.1f GiB", float64(m.Free)/gib, float64(m.Total)/gib)
}

func use(d gpu.Device, by string) string {
	if d.Error != "" {
		return d.Error
	}
	return processes(len(d.Processes), by)
}

// processes says who uses something: programs, and the run that has leased it, whose programs they may be.
func processes(n int, by string) string {
	var out []string
	switch {
	case n == 1:
		out = append(out, "1 process")
	case n > 1:
		out = append(out, fmt.Sprintf("%d processes", n))
	}
	if by != "" {
		out = append(out, "leased by "+by)
	}
	if len(out) == 0 {
		return "free"
	}
	return strings.Join(out, ", ")
}

func newGPUCheck(a *app) *cobra.Command {
	var image string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [PROJECT]",
		Short: "Check that an environment can work on this machine's GPUs",
		Long: `Holds what the lock (or, without one, the env file) and the base's registry say against driver and GPUs
of this machine. No layer, package or wheel is fetched.` + "\n" + exitStatus,
		Example: "  sandbox gpu check\n  sandbox gpu check --image pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			c, err := a.gpuCheck(cmd, m, image, append(args, ".")[0])
			if err != nil {
				return err
			}
			if asJSON {
				if err := a.json(c); err != nil {
					return err
				}
			} else {
				a.printCheck(c)
			}
			if !c.Works() {
				return &silent{codeHost}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&image, "image", "", "check an image instead of a project")
	a.completeFlag(cmd, "image", a.imageNames)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().BoolVar(&a.allowHTTP, "allow-http", false, "allow plain http beyond this machine")
	return cmd
}

func (a *app) gpuCheck(cmd *cobra.Command, m *sandbox.Manager, image, dir string) (*sandbox.GPUCheck, error) {
	if image != "" {
		return m.CheckImageGPU(cmd.Context(), image)
	}
	p, err := m.Project(dir, sandbox.ProjectOptions{})
	if err != nil {
		return nil, err
	}
	return p.CheckGPU(cmd.Context())
}

func (a *app) printCheck(c *sandbox.GPUCheck) {
	for _, p := range c.Problems {
		kind := "note"
		if p.Blocks {
			kind = "fail"
		}
		a.printf("%-5s %s\n", kind, p.Text)
		for _, w := range p.Ways {
			a.printf("      works here: %s\n", w)
		}
	}
	switch n := len(c.Machine.Devices); {
	case c.Refusal != nil:
		a.printf("fail  %v\n", c.Refusal)
		for _, h := range hint.Of(c.Refusal) {
			a.printf("      hint: %s\n", h)
		}
	case n == 0:
		a.printf("fail  no GPU here\n")
	case c.Usable() == 0:
		for _, d := range c.Machine.Devices {
			a.printf("fail  GPU %d cannot be used: %s\n", d.Index, d.Error)
		}
	case c.Works():
		a.printf("ok    works on this machine: %d GPU(s), driver %s\n", c.Usable(), c.Machine.Driver)
	}
}

func newGPUWhy(a *app) *cobra.Command {
	var r runFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why [TASK]",
		Short: "Say of each GPU whether a run would get it, and why not",
		Long:  "Selects as a run would, from --gpus and the env file if there is one, and takes nothing." + "\n" + exitStatus,
		Example: `  sandbox gpu why train
  sandbox gpu why --gpus 1,min-memory=40GiB`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.open()
			if err != nil {
				return err
			}
			o := sandbox.RunOptions{Args: args, GPU: r.gpu}
			p, err := m.Project(r.folder(), r.projectOptions())
			if err != nil {
				if len(args) > 0 || len(r.gpu.GPUs) == 0 {
					return err
				}
				p = nil
			}
			want, reasons, err := m.WhyGPUs(cmd.Context(), p, o)
			if err != nil && reasons == nil {
				return err
			}
			if asJSON {
				if jerr := a.json(reasons); jerr != nil {
					return jerr
				}
				return err
			}
			if !want.Wants() {
				a.printf("no GPU is asked for\n")
				return err
			}
			a.printf("asked for: %s (%s)\n", want, strings.TrimSpace(want.Source))
			for _, x := range reasons {
				a.printf("%-8s %s: %s\n", x.State, x.Label(), x.Why)
			}
			return err
		},
	}
	cmd.ValidArgsFunction = a.completeTasks(&r)
	cmd.Flags().StringVarP(&r.dir, "dir", "C", "", "the project's folder")
	cmd.Flags().StringSliceVar(&r.profiles, "profile", nil, "apply [profile.NAME]")
	a.completeFlag(cmd, "profile", a.profileNames(&r.dir))
	cmd.Flags().StringArrayVar(&r.gpu.GPUs, "gpus", nil, "a selection; see sandbox gpu --help")
	cmd.Flags().BoolVar(&r.gpu.SkipChecks, "skip-checks", false, "leave out whether the environment's programs can use a GPU")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
