CREATE TYPE public.studydirection AS ENUM (
    'NOT_SET',
    'MINIMIZE',
    'MAXIMIZE'
);
CREATE TYPE public.trialintermediatevaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG',
    'NAN'
);
CREATE TYPE public.trialstate AS ENUM (
    'RUNNING',
    'COMPLETE',
    'PRUNED',
    'FAIL',
    'WAITING'
);
CREATE TYPE public.trialvaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG'
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.studies (
    study_id integer NOT NULL,
    study_name character varying(512) NOT NULL
);
CREATE SEQUENCE public.studies_study_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.studies_study_id_seq OWNED BY public.studies.study_id;
CREATE TABLE public.study_directions (
    study_direction_id integer NOT NULL,
    direction public.studydirection NOT NULL,
    study_id integer NOT NULL,
    objective integer NOT NULL
);
CREATE SEQUENCE public.study_directions_study_direction_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_directions_study_direction_id_seq OWNED BY public.study_directions.study_direction_id;
CREATE TABLE public.study_system_attributes (
    study_system_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_system_attributes_study_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_system_attributes_study_system_attribute_id_seq OWNED BY public.study_system_attributes.study_system_attribute_id;
CREATE TABLE public.study_user_attributes (
    study_user_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_user_attributes_study_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_user_attributes_study_user_attribute_id_seq OWNED BY public.study_user_attributes.study_user_attribute_id;
CREATE TABLE public.trial_heartbeats (
    trial_heartbeat_id integer NOT NULL,
    trial_id integer NOT NULL,
    heartbeat timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq OWNED BY public.trial_heartbeats.trial_heartbeat_id;
CREATE TABLE public.trial_intermediate_values (
    trial_intermediate_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    step integer NOT NULL,
    intermediate_value double precision,
    intermediate_value_type public.trialintermediatevaluetype NOT NULL
);
CREATE SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq OWNED BY public.trial_intermediate_values.trial_intermediate_value_id;
CREATE TABLE public.trial_params (
    param_id integer NOT NULL,
    trial_id integer,
    param_name character varying(512),
    param_value double precision,
    distribution_json text
);
CREATE SEQUENCE public.trial_params_param_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_params_param_id_seq OWNED BY public.trial_params.param_id;
CREATE TABLE public.trial_system_attributes (
    trial_system_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq OWNED BY public.trial_system_attributes.trial_system_attribute_id;
CREATE TABLE public.trial_user_attributes (
    trial_user_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq OWNED BY public.trial_user_attributes.trial_user_attribute_id;
CREATE TABLE public.trial_values (
    trial_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    objective integer NOT NULL,
    value double precision,
    value_type public.trialvaluetype NOT NULL
);
CREATE SEQUENCE public.trial_values_trial_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_values_trial_value_id_seq OWNED BY public.trial_values.trial_value_id;
CREATE TABLE public.trials (
    trial_id integer NOT NULL,
    number integer,
    study_id integer,
    state public.trialstate NOT NULL,
    datetime_start timestamp without time zone,
    datetime_complete timestamp without time zone
);
CREATE SEQUENCE public.trials_trial_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trials_trial_id_seq OWNED BY public.trials.trial_id;
CREATE TABLE public.version_info (
    version_info_id integer NOT NULL,
    schema_version integer,
    library_version character varying(256),
    CONSTRAINT version_info_version_info_id_check CHECK ((version_info_id = 1))
);
ALTER TABLE ONLY public.studies ALTER COLUMN study_id SET DEFAULT nextval('public.studies_study_id_seq'::regclass);
ALTER TABLE ONLY public.study_directions ALTER COLUMN study_direction_id SET DEFAULT nextval('public.study_directions_study_direction_id_seq'::regclass);
ALTER TABLE ONLY public.study_system_attributes ALTER COLUMN study_system_attribute_id SET DEFAULT nextval('public.study_system_attributes_study_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.study_user_attributes ALTER COLUMN study_user_attribute_id SET DEFAULT nextval('public.study_user_attributes_study_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_heartbeats ALTER COLUMN trial_heartbeat_id SET DEFAULT nextval('public.trial_heartbeats_trial_heartbeat_id_seq'::regclass);
ALTER TABLE ONLY public.trial_intermediate_values ALTER COLUMN trial_intermediate_value_id SET DEFAULT nextval('public.trial_intermediate_values_trial_intermediate_value_id_seq'::regclass);
ALTER TABLE ONLY public.trial_params ALTER COLUMN param_id SET DEFAULT nextval('public.trial_params_param_id_seq'::regclass);
ALTER TABLE ONLY public.trial_system_attributes ALTER COLUMN trial_system_attribute_id SET DEFAULT nextval('public.trial_system_attributes_trial_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_user_attributes ALTER COLUMN trial_user_attribute_id SET DEFAULT nextval('public.trial_user_attributes_trial_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_values ALTER COLUMN trial_value_id SET DEFAULT nextval('public.trial_values_trial_value_id_seq'::regclass);
ALTER TABLE ONLY public.trials ALTER COLUMN trial_id SET DEFAULT nextval('public.trials_trial_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('v3.2.0.a');
INSERT INTO public.studies VALUES (1, 'half_postgres');
INSERT INTO public.study_directions VALUES (1, 'MAXIMIZE', 1, 0);
INSERT INTO public.study_user_attributes VALUES (1, 1, 'abx_fingerprint', '{"digest": "33734b4bc7fbc41b8190e16aaa3f4853c2cff6e96b41533a381df3fbdf0d1835", "values": {"antibiotics.drugs.A.leak": 0.2, "antibiotics.drugs.A.flatness_parameter": 40.0, "antibiotics.drugs.A.permanent_residual_volume": 0.0, "antibiotics.drugs.A.initial_amr_level": 0.0, "antibiotics.drugs.A.adverse_effect_penalty": -0.8, "antibiotics.drugs.A.adverse_effect_probability": 0.25, "antibiotics.drugs.B.leak": 0.3, "antibiotics.drugs.B.flatness_parameter": 40.0, "antibiotics.drugs.B.permanent_residual_volume": 0.0, "antibiotics.drugs.B.initial_amr_level": 0.0, "antibiotics.drugs.B.adverse_effect_penalty": -0.5, "antibiotics.drugs.B.adverse_effect_probability": 0.4, "antibiotics.cross_resistance": {}, "amr_dynamics._target_": "abx_amr.simulator.dynamics.LeakyBalloon", "environment.num_patients_per_time_step": 1, "environment.max_time_steps": 40, "environment.visible_amr.update_every_n_time_steps": 1, "environment.visible_amr.noise_std": 0.0, "environment.visible_amr.bias": 0.0, "environment.include_steps_since_amr_update": false, "environment.include_previous_action": false, "environment.temporal_windows": [], "patient_generator._target_": "abx_amr.simulator.patients.PatientPopulation", "patient_generator.visible_patient_attributes": ["prob_infected"], "patient_generator.prob_infected.distribution.type": "constant", "patient_generator.prob_infected.distribution.value": 0.7, "patient_generator.prob_infected.observation.bias_multiplier": 1.0, "patient_generator.prob_infected.observation.noise_std": 0.0, "patient_generator.prob_infected.observation.clip": [0.0, 1.0], "patient_generator.benefit_value_multiplier.distribution.type": "constant", "patient_generator.benefit_value_multiplier.distribution.value": 1.0, "patient_generator.benefit_value_multiplier.observation.bias_multiplier": 1.0, "patient_generator.benefit_value_multiplier.observation.noise_std": 0.0, "patient_generator.benefit_value_multiplier.observation.clip": [0.0, null], "patient_generator.failure_value_multiplier.distribution.type": "constant", "patient_generator.failure_value_multiplier.distribution.value": 1.0, "patient_generator.failure_value_multiplier.observation.bias_multiplier": 1.0, "patient_generator.failure_value_multiplier.observation.noise_std": 0.0, "patient_generator.failure_value_multiplier.observation.clip": [0.0, null], "patient_generator.benefit_probability_multiplier.distribution.type": "constant", "patient_generator.benefit_probability_multiplier.distribution.value": 1.0, "patient_generator.benefit_probability_multiplier.observation.bias_multiplier": 1.0, "patient_generator.benefit_probability_multiplier.observation.noise_std": 0.0, "patient_generator.benefit_probability_multiplier.observation.clip": [0.0, null], "patient_generator.failure_probability_multiplier.distribution.type": "constant", "patient_generator.failure_probability_multiplier.distribution.value": 1.0, "patient_generator.failure_probability_multiplier.observation.bias_multiplier": 1.0, "patient_generator.failure_probability_multiplier.observation.noise_std": 0.0, "patient_generator.failure_probability_multiplier.observation.clip": [0.0, null], "patient_generator.recovery_without_treatment_prob.distribution.type": "constant", "patient_generator.recovery_without_treatment_prob.distribution.value": 0.05, "patient_generator.recovery_without_treatment_prob.observation.bias_multiplier": 1.0, "patient_generator.recovery_without_treatment_prob.observation.noise_std": 0.0, "patient_generator.recovery_without_treatment_prob.observation.clip": [0.0, 1.0], "reward_calculator._target_": "abx_amr.simulator.rewards.ClinicalReward", "reward_calculator.clinical_benefit_reward": 1.0, "reward_calculator.clinical_benefit_probability": 0.6375, "reward_calculator.clinical_failure_penalty": -1.0, "reward_calculator.clinical_failure_probability": 0.9, "reward_calculator.lambda_weight": 0.0, "reward_calculator.epsilon": 0.0, "agent_algorithm._target_": "stable_baselines3.PPO", "agent_algorithm.policy": "MlpPolicy", "agent_algorithm.learning_rate": 0.0003, "agent_algorithm.n_steps": 64, "agent_algorithm.batch_size": 64, "agent_algorithm.n_epochs": 10, "agent_algorithm.gamma": 0.99, "agent_algorithm.one_minus_gamma": null, "agent_algorithm.gae_lambda": 0.95, "agent_algorithm.clip_range": 0.2, "agent_algorithm.clip_range_vf": null, "agent_algorithm.normalize_advantage": true, "agent_algorithm.ent_coef": 0.0, "agent_algorithm.vf_coef": 0.5, "agent_algorithm.max_grad_norm": 0.5, "agent_algorithm.target_kl": null, "agent_algorithm.use_sde": false, "agent_algorithm.sde_sample_freq": -1, "agent_algorithm.stats_window_size": 100, "agent_algorithm.device": "cpu", "agent_algorithm.policy_kwargs.net_arch": [8], "agent_algorithm.policy_kwargs.value_net_arch": null, "agent_algorithm.policy_kwargs.activation_fn": "torch.nn.Tanh", "agent_algorithm.policy_kwargs.ortho_init": true, "training.seed_batched": true, "training.num_eval_episodes": 4, "training.evaluation_seed": 0, "training.n_envs": 2, "training.vec_normalize.enabled": false, "training.vec_normalize.norm_obs": true, "training.vec_normalize.norm_reward": true, "training.vec_normalize.clip_obs": 10.0, "training.vec_normalize.clip_reward": 10.0, "tuning.n_seeds_per_trial": 2, "tuning.truncated_episodes": 8, "tuning.direction": "maximize", "tuning.stability_penalty_weight": 0.2, "tuning.sampler": "tpe", "tuning.sampler_options": {}, "tuning.sampler_seed": 0, "tuning.pruner": "none", "tuning.first_seed": 1000, "tuning.seeds": "common", "tuning.min_successful_seeds": null, "tuning.search_space.agent_algorithm.batch_size": {"type": "categorical", "choices": [32, 64, 128, 256]}, "tuning.search_space.agent_algorithm.clip_range": {"type": "float", "step": null, "low": 0.1, "high": 0.3, "log": false}, "tuning.search_space.agent_algorithm.ent_coef": {"type": "categorical", "choices": [0.0, 0.001, 0.01, 0.1]}, "tuning.search_space.agent_algorithm.gae_lambda": {"type": "float", "step": null, "low": 0.9, "high": 0.99, "log": false}, "tuning.search_space.agent_algorithm.gamma": {"type": "float", "step": null, "low": 0.95, "high": 0.999, "log": false}, "tuning.search_space.agent_algorithm.learning_rate": {"type": "float", "step": null, "low": 1e-05, "high": 0.001, "log": true}, "tuning.search_space.agent_algorithm.n_epochs": {"type": "int", "log": false, "step": 1, "low": 3, "high": 10}}, "optuna": "5.0.0", "created": "2026-11-28T19:37:57"}');
INSERT INTO public.study_user_attributes VALUES (2, 1, 'abx_budget', '2');
INSERT INTO public.trial_params VALUES (1, 1, 'agent_algorithm.learning_rate', 0.00011781448719376506, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.001, "log": true}}');
INSERT INTO public.trial_params VALUES (2, 1, 'agent_algorithm.gamma', 0.9778302799477386, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.95, "high": 0.999, "log": false}}');
INSERT INTO public.trial_params VALUES (3, 1, 'agent_algorithm.gae_lambda', 0.9165836114351603, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.9, "high": 0.99, "log": false}}');
INSERT INTO public.trial_params VALUES (4, 1, 'agent_algorithm.ent_coef', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": [0.0, 0.001, 0.01, 0.1]}}');
INSERT INTO public.trial_params VALUES (5, 1, 'agent_algorithm.clip_range', 0.259207453354359, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO public.trial_params VALUES (6, 1, 'agent_algorithm.batch_size', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": [32, 64, 128, 256]}}');
INSERT INTO public.trial_params VALUES (7, 1, 'agent_algorithm.n_epochs', 5, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 3, "high": 10}}');
INSERT INTO public.trial_params VALUES (8, 2, 'agent_algorithm.learning_rate', 0.0008839874534247041, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.001, "log": true}}');
INSERT INTO public.trial_params VALUES (9, 2, 'agent_algorithm.gamma', 0.9677461375014587, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.95, "high": 0.999, "log": false}}');
INSERT INTO public.trial_params VALUES (10, 2, 'agent_algorithm.gae_lambda', 0.987948373782297, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.9, "high": 0.99, "log": false}}');
INSERT INTO public.trial_params VALUES (11, 2, 'agent_algorithm.ent_coef', 3, '{"name": "CategoricalDistribution", "attributes": {"choices": [0.0, 0.001, 0.01, 0.1]}}');
INSERT INTO public.trial_params VALUES (12, 2, 'agent_algorithm.clip_range', 0.2093097794458988, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO public.trial_params VALUES (13, 2, 'agent_algorithm.batch_size', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": [32, 64, 128, 256]}}');
INSERT INTO public.trial_params VALUES (14, 2, 'agent_algorithm.n_epochs', 8, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 3, "high": 10}}');
INSERT INTO public.trial_user_attributes VALUES (1, 1, 'lineage', '0');
INSERT INTO public.trial_user_attributes VALUES (2, 1, 'owner', '{"host": "vm", "boot": "23ec71f7-acf8-400a-8421-5286bfe085c4", "container": "pid:[4026531836]", "pid": 18111, "started": "190430", "interval": 30.0, "worker": 0, "slurm_job": null, "token": "90b7948e31e3"}');
INSERT INTO public.trial_user_attributes VALUES (3, 1, 'mean_reward', '2.9000000000000004');
INSERT INTO public.trial_user_attributes VALUES (4, 1, 'std_reward', '0.0');
INSERT INTO public.trial_user_attributes VALUES (5, 1, 'stability_penalty', '0.0');
INSERT INTO public.trial_user_attributes VALUES (6, 1, 'seeds', '[{"seed": 1000, "episode_return": 2.9000000000000004, "failure": null, "seconds": 1.3567449165000198}, {"seed": 1001, "episode_return": 2.9000000000000004, "failure": null, "seconds": 1.3567449165000198}]');
INSERT INTO public.trial_user_attributes VALUES (7, 1, 'failed_seeds', '{}');
INSERT INTO public.trial_user_attributes VALUES (8, 1, 'effective_values', '{"agent_algorithm.learning_rate": 0.00011781448719376506, "agent_algorithm.gamma": 0.9778302799477386, "agent_algorithm.gae_lambda": 0.9165836114351603, "agent_algorithm.ent_coef": 0.001, "agent_algorithm.clip_range": 0.259207453354359, "agent_algorithm.batch_size": 32, "agent_algorithm.n_epochs": 5}');
INSERT INTO public.trial_user_attributes VALUES (9, 1, 'wall_time_seconds', '3.3437686679999388');
INSERT INTO public.trial_user_attributes VALUES (10, 2, 'lineage', '1');
INSERT INTO public.trial_user_attributes VALUES (11, 2, 'owner', '{"host": "vm", "boot": "23ec71f7-acf8-400a-8421-5286bfe085c4", "container": "pid:[4026531836]", "pid": 18111, "started": "190430", "interval": 30.0, "worker": 0, "slurm_job": null, "token": "90b7948e31e3"}');
INSERT INTO public.trial_user_attributes VALUES (12, 2, 'mean_reward', '3.45');
INSERT INTO public.trial_user_attributes VALUES (13, 2, 'std_reward', '0.5499999999999998');
INSERT INTO public.trial_user_attributes VALUES (14, 2, 'stability_penalty', '0.10999999999999997');
INSERT INTO public.trial_user_attributes VALUES (15, 2, 'seeds', '[{"seed": 1000, "episode_return": 2.9000000000000004, "failure": null, "seconds": 0.20735831750005218}, {"seed": 1001, "episode_return": 4.0, "failure": null, "seconds": 0.20735831750005218}]');
INSERT INTO public.trial_user_attributes VALUES (16, 2, 'failed_seeds', '{}');
INSERT INTO public.trial_user_attributes VALUES (17, 2, 'effective_values', '{"agent_algorithm.learning_rate": 0.0008839874534247041, "agent_algorithm.gamma": 0.9677461375014587, "agent_algorithm.gae_lambda": 0.987948373782297, "agent_algorithm.ent_coef": 0.1, "agent_algorithm.clip_range": 0.2093097794458988, "agent_algorithm.batch_size": 32, "agent_algorithm.n_epochs": 8}');
INSERT INTO public.trial_user_attributes VALUES (18, 2, 'wall_time_seconds', '0.67591395799991');
INSERT INTO public.trial_values VALUES (1, 1, 0, 2.9000000000000004, 'FINITE');
INSERT INTO public.trial_values VALUES (2, 2, 0, 3.3400000000000003, 'FINITE');
INSERT INTO public.trials VALUES (1, 0, 1, 'COMPLETE', '2026-11-28 19:38:05.355672', '2026-11-28 19:38:10.424255');
INSERT INTO public.trials VALUES (2, 1, 1, 'COMPLETE', '2026-11-28 19:38:11.032154', '2026-11-28 19:38:13.498909');
INSERT INTO public.version_info VALUES (1, 12, '5.0.0');
SELECT pg_catalog.setval('public.studies_study_id_seq', 1, true);
SELECT pg_catalog.setval('public.study_directions_study_direction_id_seq', 1, true);
SELECT pg_catalog.setval('public.study_system_attributes_study_system_attribute_id_seq', 1, false);
SELECT pg_catalog.setval('public.study_user_attributes_study_user_attribute_id_seq', 2, true);
SELECT pg_catalog.setval('public.trial_heartbeats_trial_heartbeat_id_seq', 1, false);
SELECT pg_catalog.setval('public.trial_intermediate_values_trial_intermediate_value_id_seq', 1, false);
SELECT pg_catalog.setval('public.trial_params_param_id_seq', 14, true);
SELECT pg_catalog.setval('public.trial_system_attributes_trial_system_attribute_id_seq', 1, false);
SELECT pg_catalog.setval('public.trial_user_attributes_trial_user_attribute_id_seq', 18, true);
SELECT pg_catalog.setval('public.trial_values_trial_value_id_seq', 2, true);
SELECT pg_catalog.setval('public.trials_trial_id_seq', 2, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.studies
    ADD CONSTRAINT studies_pkey PRIMARY KEY (study_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_pkey PRIMARY KEY (study_direction_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_objective_key UNIQUE (study_id, objective);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_pkey PRIMARY KEY (study_system_attribute_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_pkey PRIMARY KEY (study_user_attribute_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_pkey PRIMARY KEY (trial_heartbeat_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_key UNIQUE (trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_pkey PRIMARY KEY (trial_intermediate_value_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_step_key UNIQUE (trial_id, step);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_pkey PRIMARY KEY (param_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_param_name_key UNIQUE (trial_id, param_name);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_pkey PRIMARY KEY (trial_system_attribute_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_pkey PRIMARY KEY (trial_user_attribute_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_pkey PRIMARY KEY (trial_value_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_objective_key UNIQUE (trial_id, objective);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY public.version_info
    ADD CONSTRAINT version_info_pkey PRIMARY KEY (version_info_id);
CREATE UNIQUE INDEX ix_studies_study_name ON public.studies USING btree (study_name);
CREATE INDEX ix_trials_study_id ON public.trials USING btree (study_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
