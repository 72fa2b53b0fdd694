# bash completion for llm-quantize
_llm_quantize() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command="" word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      littlebit) [[ -z $command ]] && command=littlebit ;;
      info) [[ -z $command || $command == littlebit ]] && command+=info ;;
      tokenize) [[ -z $command ]] && command=tokenize ;;
      compress | convert | validate | run | bench) [[ $command == littlebit ]] && command+=$word ;;
    esac
  done
  case $previous in
    --format)
      if [[ $command == littlebitcompress ]]; then
        COMPREPLY=($(compgen -W "littlebit gguf-ext gguf-lossy" -- "$current"))
      else
        COMPREPLY=($(compgen -W "human json" -- "$current"))
      fi
      return ;;
    --verbosity) COMPREPLY=($(compgen -W "quiet normal verbose debug" -- "$current")); return ;;
    --effort) COMPREPLY=($(compgen -W "quick standard max" -- "$current")); return ;;
    --init) COMPREPLY=($(compgen -W "dual-svid itq admm anneal random" -- "$current")); return ;;
    --importance) COMPREPLY=($(compgen -W "off forward full" -- "$current")); return ;;
    --allocation) COMPREPLY=($(compgen -W "uniform auto" -- "$current")); return ;;
    --residual) COMPREPLY=($(compgen -W "auto spare on off" -- "$current")); return ;;
    --embedding-bits | --head-bits) COMPREPLY=($(compgen -W "16 8 6 4 auto" -- "$current")); return ;;
    --scale-bits) COMPREPLY=($(compgen -W "16 8 6 4" -- "$current")); return ;;
    --budget-scope) COMPREPLY=($(compgen -W "body file" -- "$current")); return ;;
    --surrogate) COMPREPLY=($(compgen -W "smooth-sign straight-through" -- "$current")); return ;;
    --absorption|--latent-scale) COMPREPLY=($(compgen -W "on off" -- "$current")); return ;;
    --train-precision) COMPREPLY=($(compgen -W "auto float32 bf16" -- "$current")); return ;;
    --gradient-checkpointing) COMPREPLY=($(compgen -W "auto on off" -- "$current")); return ;;
    --recipe) COMPREPLY=($(compgen -W "auto littlebit" -- "$current")); return ;;
    --gguf-quant) COMPREPLY=($(compgen -W "F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 Q3_K_L Q3_K_M Q3_K_S Q2_K" -- "$current")); return ;;
    --protocol) COMPREPLY=($(compgen -W "paper llama.cpp" -- "$current")); return ;;
    --kv) COMPREPLY=($(compgen -W "f32 f16 q8 latent" -- "$current")); return ;;
    --activations) COMPREPLY=($(compgen -W "f32 int8" -- "$current")); return ;;
    --weights) COMPREPLY=($(compgen -W "littlebit f16" -- "$current")); return ;;
    --shape) COMPREPLY=($(compgen -W "tinyllama-1.1b llama-3.2-1b llama-3.2-3b llama-2-7b mistral-7b llama-3-8b llama-2-13b llama-2-70b mixtral-8x7b qwen3-30b-a3b" -- "$current")); return ;;
    --device) COMPREPLY=($(compgen -W "auto cpu cuda" -- "$current")); return ;;
    --benchmark) COMPREPLY=($(compgen -W "wikitext hellaswag arc arc-easy arc-challenge" -- "$current")); return ;;
    -o | --output-dir | --checkpoint-dir | --resume) COMPREPLY=($(compgen -d -- "$current")); return ;;
  esac
  local options="-h --help --format --verbosity"
  case $command in
    "") options+=" --version"
        [[ $current != -* ]] && { COMPREPLY=($(compgen -W "info littlebit tokenize" -- "$current")); return; } ;;
    littlebit) [[ $current != -* ]] &&
        { COMPREPLY=($(compgen -W "compress info convert validate run bench" -- "$current")); return; } ;;
    info) options+=" --revision --check" ;;
    tokenize) options+=" --revision -f --file --decode --no-special --pieces --json-lines" ;;
    littlebitcompress) options+=" --revision --target-bpw --rank --quality-threshold -o --output-dir -n --output-name
        --calibration-data --calibration-samples --held-out-data --no-checkpoints --checkpoint-dir --resume
        --skip-validation --recipe --effort --time-budget --init --importance --allocation --residual --scale-bits --kv-rank-factor --budget-scope --embedding-bits --head-bits
        --train-tokens --train-lr --own-text --train-batch --surrogate --latent-scale --block-tokens --absorption --kd-tokens --train-precision --gradient-checkpointing --device --seed --threads --dry-run --export-metadata --gguf-quant
        --pre-tokenizer --max-shard-size" ;;
    littlebitinfo) options+=" --layers --verify --export-metadata" ;;
    littlebitconvert) options+=" -o --output-dir -n --output-name --gguf-quant --pre-tokenizer --max-shard-size
        --embedding-bits --force --threads"
        [[ $previous == *.littlebit || $previous == *.gguf ]] &&
        { COMPREPLY=($(compgen -W "littlebit gguf-ext gguf-lossy" -- "$current")); return; } ;;
    littlebitvalidate) options+=" --revision --calibration-data --calibration-samples --held-out-data --protocol --coherence-test
        --benchmark --benchmark-data --benchmark-items --activations --kv --device --threads" ;;
    littlebitrun) options+=" -p --prompt --prompt-file -n --tokens --temperature --top-k --top-p --seed --threads --exact --kv --device" ;;
    littlebitbench) options+=" --shape --bpw --weights -p --n-prompt -n --n-gen -d --n-depth -r --repetitions -t --threads --exact --kv --device" ;;
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _llm_quantize llm-quantize
