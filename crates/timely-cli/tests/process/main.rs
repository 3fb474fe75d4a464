//! The program `timely` as people and scripts run it: arguments, output, exit codes, signals.

mod crash;
mod demo;
mod desk;
mod program;
