"""The command `pretrain`: options, refusals, the loop, what is recorded when."""
